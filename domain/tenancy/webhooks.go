package tenancy

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/webhook"
)

const (
	mostWebhooks      = 50
	mostURL           = 2000
	leastHookTimeout  = 100 * time.Millisecond
	mostHookTimeout   = 30 * time.Second
	mostRetentionDays = 3650
	mostFailingDays   = 365
)

// Webhook is an outside system that is told of events, without what is secret of it: its
// secret and its headers are set by the API, and stay when a document is applied.
type Webhook struct {
	Name             string   `yaml:"name" json:"name"`
	URL              string   `yaml:"url" json:"url"`
	Events           []string `yaml:"events,omitempty" json:"events,omitempty"` // default all
	Queue            id.Queue `yaml:"queue,omitempty" json:"queue,omitempty"`
	Disabled         bool     `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	Timeout          Duration `yaml:"timeout,omitempty" json:"timeout,omitempty"`                       // default 10s
	RetentionDays    int      `yaml:"retention_days,omitempty" json:"retention_days,omitempty"`         // default 30
	DisableAfterDays *int     `yaml:"disable_after_days,omitempty" json:"disable_after_days,omitempty"` // default 5; 0: never
}

func (w *Webhook) complete() {
	if len(w.Events) == 0 {
		w.Events = []string{"*"}
	}
	w.Timeout = cmp.Or(w.Timeout, Duration(10*time.Second))
	w.RetentionDays = cmp.Or(w.RetentionDays, 30)
	if w.DisableAfterDays == nil {
		days := 5
		w.DisableAfterDays = &days
	}
}

// webhooks checks the webhooks. Whether an address may be called depends on where the
// sender stands, and is checked by it.
func (c *check) webhooks(d Document) {
	c.that("webhooks", len(d.Webhooks) <= mostWebhooks, "are %d, and may be %d", len(d.Webhooks), mostWebhooks)
	for i, w := range d.Webhooks {
		path := fmt.Sprintf("webhooks[%d]", i)
		c.name("webhook", path+".name", w.Name, nameForm)
		c.text(path+".url", w.URL, 1, mostURL)
		u, err := url.Parse(w.URL)
		c.that(path+".url", err == nil && u.Host != "" && u.User == nil && slices.Contains([]string{"http", "https"}, u.Scheme), "is no https address")
		for j, e := range w.Events {
			c.that(fmt.Sprintf("%s.events[%d]", path, j), webhook.Selects(e), "%q is no type of event", e)
		}
		c.refer("queue", path+".queue", string(w.Queue))
		t := time.Duration(w.Timeout)
		c.that(path+".timeout", t == 0 || t >= leastHookTimeout && t <= mostHookTimeout, "must be between %s and %s", leastHookTimeout, mostHookTimeout)
		c.that(path+".retention_days", w.RetentionDays >= 0 && w.RetentionDays <= mostRetentionDays, "must be between 1 and %d", mostRetentionDays)
		days := w.DisableAfterDays
		c.that(path+".disable_after_days", days == nil || *days >= 0 && *days <= mostFailingDays, "must be between 0 and %d", mostFailingDays)
	}
}
