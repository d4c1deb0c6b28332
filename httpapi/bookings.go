package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tariff"
)

type bookingsInput struct {
	Accept line   `header:"Accept" doc:"text/csv for a table: all rows up to 10,000, without pages."`
	User   line   `query:"user" maxLength:"64" doc:"Whose account."`
	Device line   `query:"device" maxLength:"64"`
	From   line   `query:"from" maxLength:"40" doc:"A day in the tenant's time zone, or a time: bookings answered then or later." example:"2026-11-01"`
	To     line   `query:"to" maxLength:"40" doc:"A day, which is included, or a time, which is not." example:"2026-11-30"`
	Group  string `query:"group" enum:"day" doc:"day: sums per account, day of the tenant's time zone, kind and currency, the latest day first; at most 10,000 of them, and no pages."`
	Sort   string `query:"sort" enum:"-answered_at,answered_at" default:"-answered_at" doc:"-answered_at: the newest first. Days are always the latest first."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor line   `query:"cursor" maxLength:"1024" doc:"The next_cursor of the page before, with the same sort."`
}

type bookingView struct {
	Kind       record.BookingKind `json:"kind" enum:"dialled,external" doc:"dialled by an internal device (SEED-47), or through an external one (SEED-50)."`
	User       id.User            `json:"user" doc:"Whose account; empty: nobody owns the device."`
	Device     id.Device          `json:"device" doc:"That called, or that was called."`
	Trunk      string             `json:"trunk"`
	Number     string             `json:"number" doc:"Outside."`
	Call       id.Call            `json:"call_id"`
	AnsweredAt time.Time          `json:"answered_at"`
	EndedAt    time.Time          `json:"ended_at"`
	TalkMS     int64              `json:"talk_ms"`
	Price      *string            `json:"price" example:"0.24" doc:"By the tariff of that day; null: there was none for the number."`
	Currency   string             `json:"currency" example:"EUR"`
	Tariff     string             `json:"tariff" example:"+49" doc:"Its prefix; empty: there was none."`
}

type bookingDayView struct {
	User   id.User            `json:"user"`
	Day    string             `json:"day" example:"2026-11-21"`
	Kind   record.BookingKind `json:"kind" enum:"dialled,external"`
	Calls  int                `json:"calls"`
	TalkMS int64              `json:"talk_ms"`

	Price    *string `json:"price" example:"3.6" doc:"Of the calls that have one; null: none has."`
	Currency string  `json:"currency" example:"EUR"`
	Unpriced int     `json:"unpriced" doc:"How many of the calls have no price, because there was no tariff for their numbers."`
}

// decimal is an amount as the API shows it, nil if there is none.
func decimal(a *tariff.Amount) *string {
	if a == nil {
		return nil
	}
	return ptr(a.String())
}

// priceCell is a price as a cell of a table.
func priceCell(a *tariff.Amount) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// bookingsBody is a list of bookings, or of days.
type bookingsBody struct {
	Items      []bookingView    `json:"items" doc:"Empty with group=day."`
	Days       []bookingDayView `json:"days,omitempty" doc:"With group=day."`
	TimeZone   string           `json:"time_zone" doc:"Whose days these are." example:"Europe/Zurich"`
	NextCursor string           `json:"next_cursor,omitempty" doc:"Absent on the last page."`
}

// allRows is how many rows a table of bookings has at most.
const allRows = 10_000

// listBookings lists what calls to the outside are booked to whom (SEED-47, SEED-50).
func (a *API) listBookings(ctx context.Context, in *bookingsInput) (*tableOutput, error) {
	q, err := a.bookingQuery(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.Group == "day" {
		return a.bookingDays(ctx, in, q)
	}
	t := personOf(ctx).Tenant
	if wantsTable(in.Accept) {
		q.Limit, q.After = allRows, record.BookingPlace{}
	} else {
		q.Limit++
	}
	list, err := a.config.Clerk.Bookings(ctx, t, q)
	if err != nil {
		return nil, unavailable("list bookings", err)
	}
	out := bookingsBody{Items: []bookingView{}, TimeZone: q.Zone.String()}
	if !wantsTable(in.Accept) && len(list) == q.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1]
		data, _ := json.Marshal(record.BookingPlace{At: last.AnsweredAt, Call: last.Call, Leg: last.Leg}) // texts always marshal
		out.NextCursor = base64.RawURLEncoding.EncodeToString(data)
	}
	rows := [][]string{{"answered_at", "ended_at", "talk_ms", "kind", "user", "device", "trunk", "number", "call_id", "price", "currency", "tariff"}}
	for _, b := range list {
		talk := b.EndedAt.Sub(b.AnsweredAt).Milliseconds()
		out.Items = append(out.Items, bookingView{b.Kind, b.Account, b.Device, b.Trunk, b.Number, b.Call, b.AnsweredAt.UTC(), b.EndedAt.UTC(), talk,
			decimal(b.Price), b.Currency, b.Tariff})
		rows = append(rows, []string{b.AnsweredAt.In(q.Zone).Format(time.RFC3339), b.EndedAt.In(q.Zone).Format(time.RFC3339), strconv.FormatInt(talk, 10),
			string(b.Kind), string(b.Account), string(b.Device), b.Trunk, b.Number, string(b.Call), priceCell(b.Price), b.Currency, b.Tariff})
	}
	if wantsTable(in.Accept) {
		return table("bookings", rows)
	}
	return &tableOutput{ContentType: "application/json", Body: out}, nil
}

func (a *API) bookingDays(ctx context.Context, in *bookingsInput, q record.BookingQuery) (*tableOutput, error) {
	q.Limit = allRows
	list, err := a.config.Clerk.BookingDays(ctx, personOf(ctx).Tenant, q)
	if err != nil {
		return nil, unavailable("sum bookings up", err)
	}
	out := bookingsBody{Items: []bookingView{}, Days: []bookingDayView{}, TimeZone: q.Zone.String()}
	rows := [][]string{{"day", "user", "kind", "calls", "talk_ms", "price", "currency", "unpriced"}}
	for _, d := range list {
		talk := d.Talk.Milliseconds()
		out.Days = append(out.Days, bookingDayView{d.Account, d.Day, d.Kind, d.Calls, talk, decimal(d.Price), d.Currency, d.Unpriced})
		rows = append(rows, []string{d.Day, string(d.Account), string(d.Kind), strconv.Itoa(d.Calls), strconv.FormatInt(talk, 10),
			priceCell(d.Price), d.Currency, strconv.Itoa(d.Unpriced)})
	}
	if wantsTable(in.Accept) {
		return table("booking-days", rows)
	}
	return &tableOutput{ContentType: "application/json", Body: out}, nil
}

// bookingQuery reads what is asked for, within what the person reaches: its own account,
// those of its teams, or all.
func (a *API) bookingQuery(ctx context.Context, in *bookingsInput) (record.BookingQuery, error) {
	p := personOf(ctx)
	q := record.BookingQuery{Account: id.User(in.User.clean()), Device: id.Device(in.Device.clean()), Limit: in.Limit, OldestFirst: in.Sort == "answered_at"}
	switch reach := p.Reach(account.BookingsRead); {
	case reach.Covers(account.Tenant):
	case reach == account.Team:
		q.Teams, q.Self = append([]id.Team{}, p.Teams...), p.Name
	case q.Account != "" && q.Account != p.Name:
		return q, forbidden("out_of_reach", "You may see your own bookings only.")
	default:
		q.Account = p.Name
	}
	var err error
	if q.Zone, err = a.config.Clerk.Zone(ctx, p.Tenant); err != nil {
		return q, unavailable("read the time zone", err)
	}
	if q.Since, err = instant(in.From.clean(), q.Zone, 0); err != nil {
		return q, inQuery(invalidField("from", "is neither a day (2026-11-21) nor a time (2026-11-21T09:00:00Z)"))
	}
	if q.Until, err = instant(in.To.clean(), q.Zone, 1); err != nil {
		return q, inQuery(invalidField("to", "is neither a day (2026-11-21) nor a time (2026-11-21T09:00:00Z)"))
	}
	if in.Cursor != "" {
		data, err := base64.RawURLEncoding.DecodeString(in.Cursor.clean())
		if err != nil || json.Unmarshal(data, &q.After) != nil || q.After.At.IsZero() || !printable(string(q.After.Call)+string(q.After.Leg)) {
			return q, inQuery(invalidField("cursor", "is not of this list"))
		}
	}
	return q, nil
}

// printable reports whether a text can be kept in the database.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

// instant reads a time, or the begin of a day in a zone and more days after it.
func instant(text string, zone *time.Location, more int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day.AddDate(0, 0, more), nil
	}
	return time.Parse(time.RFC3339, text)
}

type registrationView struct {
	Address    string     `json:"address" doc:"From where it signals." example:"192.0.2.7:5060"`
	Transport  string     `json:"transport" example:"udp"`
	UserAgent  string     `json:"user_agent"`
	Node       id.Node    `json:"node"`
	Since      time.Time  `json:"since"`
	Expires    time.Time  `json:"expires_at"`
	RoundTrip  *float64   `json:"round_trip_ms,omitempty" doc:"How long it took to answer; absent: it was not asked."`
	MeasuredAt *time.Time `json:"measured_at,omitempty"`
}

// historyView is one thing that happened to a device's registrations.
type historyView struct {
	At        time.Time     `json:"at"`
	Change    device.Change `json:"change" enum:"registered,moved,unregistered,replaced,expired,lost,rejected" doc:"moved: to another address or transport; replaced: it made room for a newer one; lost: its connection closed, it answered no more, or its node is gone."`
	Reason    device.Reason `json:"reason,omitempty" enum:"wrong_password,banned,other_device,not_allowed,too_many_contacts,bad_request" doc:"Of rejected."`
	Times     int           `json:"times" doc:"For how many this line stands, which has when and where the last was: of one change, or one reason of a rejection, an hour has four lines of their own (one of rejections), and one for all others."`
	Contact   string        `json:"contact,omitempty" example:"sip:1001@192.0.2.7:5060"`
	Address   string        `json:"address" example:"192.0.2.7:5060"`
	Transport string        `json:"transport" example:"udp"`
	UserAgent string        `json:"user_agent"`
	Node      id.Node       `json:"node"`
}

type registrationsOutput struct {
	Body struct {
		Device    id.Device          `json:"device"`
		Reachable bool               `json:"reachable" doc:"Whether it would ring now; a device at a fixed address or outside needs no registration."`
		Items     []registrationView `json:"items" doc:"The freshest first."`
		History   []historyView      `json:"history" doc:"What happened, the latest first, 50 lines at most. A refresh from where the phone was is none."`
	}
}

// listRegistrations shows where a device is registered now, and what happened before.
func (a *API) listRegistrations(ctx context.Context, in *thingInput) (*registrationsOutput, error) {
	name := id.Device(in.ID.clean())
	list, err := a.config.Clerk.DeviceStatuses(ctx, personOf(ctx).Tenant, record.DeviceQuery{Name: name, Limit: 1})
	if err != nil {
		return nil, unavailable("read registrations", err)
	}
	if len(list) == 0 {
		return nil, notFound("no_such_device", "There is no device %s.", name)
	}
	out := &registrationsOutput{}
	out.Body.Device, out.Body.Reachable, out.Body.Items = name, list[0].Reachable, []registrationView{}
	for _, c := range list[0].Contacts {
		v := registrationView{Address: c.Address, Transport: c.Transport, UserAgent: c.UserAgent, Node: c.Node, Since: c.Since.UTC(), Expires: c.Expires.UTC()}
		if c.RoundTrip > 0 {
			v.RoundTrip, v.MeasuredAt = ptr(float64(c.RoundTrip.Microseconds())/1000), ptr(c.Measured.UTC())
		}
		out.Body.Items = append(out.Body.Items, v)
	}
	history, err := a.config.Clerk.RegistrationHistory(ctx, personOf(ctx).Tenant, name)
	if err != nil {
		return nil, unavailable("read the history of registrations", err)
	}
	out.Body.History = []historyView{}
	for _, l := range history {
		l.At = l.At.UTC()
		out.Body.History = append(out.Body.History, historyView(l))
	}
	return out, nil
}

func (a *API) registerBookings() {
	register(a, "list-bookings", a.listBookings)
	register(a, "list-registrations", a.listRegistrations)
}
