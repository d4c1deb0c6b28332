package tenancy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// SEED-44: what is wrong with a tariff is said by its field.
func TestValidate_RefusesTariffsThatCanNotBe(t *testing.T) {
	t.Parallel()
	span := func(d time.Duration) *tenancy.Duration { v := tenancy.Duration(d); return &v }
	good := tenancy.Tariff{Prefix: "+49", PerMinute: 1, First: span(0), Step: tenancy.Duration(tariff.MaxSpan)}
	for field, change := range map[string]func(*tenancy.Document, *tenancy.Tariff){
		"":                        func(*tenancy.Document, *tenancy.Tariff) {},
		"tariffs[0].prefix":       func(_ *tenancy.Document, f *tenancy.Tariff) { f.Prefix = "+0" },
		"tariffs[1].prefix":       func(d *tenancy.Document, _ *tenancy.Tariff) { d.Tariffs = append(d.Tariffs, good) },
		"tariffs[0].display_name": func(_ *tenancy.Document, f *tenancy.Tariff) { f.DisplayName = "a\nb" },
		"tariffs[0].per_minute":   func(_ *tenancy.Document, f *tenancy.Tariff) { f.PerMinute = tariff.MaxRate + 1 },
		"tariffs[0].per_call":     func(_ *tenancy.Document, f *tenancy.Tariff) { f.PerCall = -1 },
		"tariffs[0].first":        func(_ *tenancy.Document, f *tenancy.Tariff) { f.First = span(time.Microsecond) },
		"tariffs[0].step":         func(_ *tenancy.Document, f *tenancy.Tariff) { f.Step++ },
		"tenant.currency":         func(d *tenancy.Document, _ *tenancy.Tariff) { d.Tenant.Currency = "EURO" },
	} {
		d := small()
		d.Tariffs = []tenancy.Tariff{good}
		change(&d, &d.Tariffs[0])
		if field == "" {
			require.Empty(t, d.Validate())
			continue
		}
		wrong := d.Validate()
		require.Len(t, wrong, 1, field)
		require.Equal(t, field, wrong[0].Name)
	}
}
