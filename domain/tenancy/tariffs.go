package tenancy

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"holdfast/domain/tariff"
)

// Tariff is what calls cost to the numbers that begin with its prefix (SEED-44); the longest
// prefix wins. Amounts are of the tenant's currency.
type Tariff struct {
	Prefix      string        `yaml:"prefix" json:"prefix"` // E.164; + for all that have no other
	DisplayName string        `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	PerMinute   tariff.Amount `yaml:"per_minute" json:"per_minute"`
	PerCall     tariff.Amount `yaml:"per_call,omitempty" json:"per_call,omitempty"`
	First       *Duration     `yaml:"first,omitempty" json:"first,omitempty"` // charged at least; default 60 s, 0: nothing
	Step        Duration      `yaml:"step,omitempty" json:"step,omitempty"`   // what follows, as begun; default 60 s
}

func (t *Tariff) complete() {
	if t.First == nil {
		first := Duration(tariff.DefaultFirst)
		t.First = &first
	}
	t.Step = cmp.Or(t.Step, Duration(tariff.DefaultStep))
}

// prefixForm is only what a tariff's prefix is made of; tariff.ValidPrefix says the rest.
var prefixForm = regexp.MustCompile(`^\+[0-9]*$`)

// tariffs checks the tenant's currency and what it charges in it.
func (c *check) tariffs(d Document) {
	c.that("tenant.currency", d.Tenant.Currency == "" || tariff.Currency(d.Tenant.Currency), "%q is not a currency: three capital letters of ISO 4217, such as EUR", d.Tenant.Currency)
	for i, t := range d.Tariffs {
		path := fmt.Sprintf("tariffs[%d]", i)
		c.name("tariff", path+".prefix", t.Prefix, prefixForm)
		c.that(path+".prefix", tariff.ValidPrefix(t.Prefix), "%q is not how an international number begins: + and up to 15 digits, the first no 0", t.Prefix)
		c.text(path+".display_name", t.DisplayName, 0, maxText)
		for name, a := range map[string]tariff.Amount{"per_minute": t.PerMinute, "per_call": t.PerCall} {
			c.that(path+"."+name, a >= 0 && a <= tariff.MaxRate, "must be between 0 and %s", tariff.MaxRate)
		}
		if t.First != nil {
			c.that(path+".first", whole(*t.First) && *t.First >= 0 && time.Duration(*t.First) <= tariff.MaxSpan, "must be between 0 and %s, in whole milliseconds", tariff.MaxSpan)
		}
		step := time.Duration(t.Step)
		c.that(path+".step", whole(t.Step) && step >= 0 && step <= tariff.MaxSpan, "must be between %s and %s, in whole milliseconds", tariff.LeastStep, tariff.MaxSpan)
	}
}

// whole reports whether d is in whole milliseconds, as it is kept.
func whole(d Duration) bool { return time.Duration(d)%time.Millisecond == 0 }
