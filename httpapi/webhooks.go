package httpapi

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/fault"
	"holdfast/domain/webhook"
)

// Webhooks keeps what is sent to webhooks; *db.DB satisfies it. What asks for sending
// writes its line of the audit trail itself. fault.NotFound: no such webhook or delivery.
type Webhooks interface {
	// Deliveries lists messages to a webhook, newest first.
	Deliveries(ctx context.Context, of webhook.Ref, q webhook.DeliveryQuery) ([]webhook.Delivery, error)
	// Delivery reads one with its event and the last answer.
	Delivery(ctx context.Context, of webhook.Ref, number int64) (webhook.Delivery, error)
	// Redeliver puts a message in line again, with its own id.
	Redeliver(ctx context.Context, by directory.Author, name string, number int64) (webhook.Delivery, error)
	// Replay puts past events in line again, so many at a time.
	Replay(ctx context.Context, by directory.Author, name string, r webhook.Replay) (webhook.Replayed, error)
	// PingWebhook puts a test message in line.
	PingWebhook(ctx context.Context, by directory.Author, name string) (webhook.Delivery, error)
}

const (
	// lookupWithin bounds the look-up of a receiver's name when a webhook is saved.
	lookupWithin = time.Second
	// maxHeaders, maxHeaderName and maxHeaderValue bound a webhook's own headers.
	maxHeaders, maxHeaderName, maxHeaderValue = 20, 100, 2000
)

// The resource about outside systems that are told of events.
var webhooks = resource{
	kind: directory.Webhook, path: "/v1/webhooks", plural: "webhooks", secrets: []string{"secret", "headers"},
	begin:    func(set map[string]any) { set["secret"] = webhook.NewSecret() },
	revealed: "secret",
	seal:     sealWebhook,
}

type webhookView struct {
	Name            string     `json:"name" example:"crm"`
	URL             string     `json:"url" example:"https://crm.example.com/holdfast"`
	Events          []string   `json:"events" example:"[\"call.*\"]"`
	Queue           string     `json:"queue" doc:"Only calls of this queue, and agents who are members of it; empty: whatever the queue."`
	Enabled         bool       `json:"enabled"`
	DisabledBecause string     `json:"disabled_because" enum:",gone,failing" doc:"Why we disabled it: its receiver answered 410, or accepted nothing for too long."`
	HeaderNames     []string   `json:"header_names" doc:"Of its own headers; their values are not shown."`
	TimeoutMS       int64      `json:"timeout_ms"`
	RetentionDays   int        `json:"retention_days" doc:"How long deliveries are kept after their end."`
	DisableAfter    int        `json:"disable_after_days" doc:"After so many days in which nothing was accepted it is disabled; 0: never."`
	Secret          string     `json:"secret,omitempty" doc:"Shown once, when it is made."`
	FormerUntil     *time.Time `json:"former_secret_until,omitempty" doc:"Until when messages are signed with the secret before, too."`
	FailingSince    *time.Time `json:"failing_since,omitempty" doc:"Since when nothing was accepted."`
	DeliveredAt     *time.Time `json:"delivered_at,omitempty" doc:"When a message was accepted last."`
	Stamp
}

// WebhookFields are what can be set of a webhook.
type WebhookFields struct {
	Events        *[]line          `json:"events,omitempty" minItems:"1" maxItems:"50" doc:"Types of events, all of one subject (call.*), or all (*, which is the default). See docs/webhooks.md."`
	Queue         *line            `json:"queue,omitempty" maxLength:"64" doc:"Only calls of this queue, and agents who are members of it."`
	Enabled       *bool            `json:"enabled,omitempty" doc:"A disabled one is told nothing; what is pending waits."`
	Headers       *map[string]line `json:"headers,omitempty" doc:"Sent with every message, e.g. Authorization; none of ours can be overridden."`
	TimeoutMS     *int64           `json:"timeout_ms,omitempty" minimum:"100" maximum:"30000" doc:"How long the receiver may take to answer; 10000 if left out."`
	RetentionDays *int             `json:"retention_days,omitempty" minimum:"1" maximum:"3650" doc:"30 if left out."`
	DisableAfter  *int             `json:"disable_after_days,omitempty" minimum:"0" maximum:"365" doc:"5 if left out; 0: never."`
}

type newWebhook struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	URL  line `json:"url" minLength:"8" maxLength:"2000" doc:"Where messages go: https, or http where the operator allows the network."`
	WebhookFields
}

type changedWebhook struct {
	URL *line `json:"url,omitempty" minLength:"8" maxLength:"2000"`
	WebhookFields
}

type listWebhooks struct {
	Listing
	Enabled string `query:"enabled" enum:"true,false"`
	Queue   line   `query:"queue" maxLength:"64"`
}

type rotateInput struct {
	Keyed
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body *struct {
		OverlapMS *int64 `json:"overlap_ms,omitempty" minimum:"0" maximum:"2592000000" doc:"How long messages are signed with the secret before, too; a day if left out."`
	}
}

type listDeliveriesInput struct {
	ID      line      `path:"id" minLength:"1" maxLength:"64"`
	State   string    `query:"state" enum:"pending,delivered,failed"`
	Subject line      `query:"subject" maxLength:"200" doc:"E.g. call:<id> or agent:1001."`
	Since   time.Time `query:"since" doc:"Put in line at or after."`
	Until   time.Time `query:"until" doc:"Put in line before."`
	Sort    string    `query:"sort" enum:"-id" default:"-id" doc:"Newest first is the one order there is."`
	Limit   int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor  line      `query:"cursor" maxLength:"20" doc:"The next_cursor of the page before."`
}

type deliveryInput struct {
	ID       line  `path:"id" minLength:"1" maxLength:"64"`
	Delivery int64 `path:"delivery" minimum:"1"`
}

type redeliverInput struct {
	Keyed
	ID       line  `path:"id" minLength:"1" maxLength:"64"`
	Delivery int64 `path:"delivery" minimum:"1"`
}

type replayInput struct {
	Keyed
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body struct {
		From   time.Time  `json:"from" doc:"Events that happened at or after."`
		To     *time.Time `json:"to,omitempty" doc:"And before; now if left out."`
		Events *[]line    `json:"events,omitempty" maxItems:"50" doc:"Of these types only, as far as the webhook takes them."`
		After  *int64     `json:"after,omitempty" minimum:"0" doc:"The last_sequence of the replay before, to go on behind it."`
	}
}

type testInput struct {
	Keyed
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

type deliveryView struct {
	ID         string        `json:"id"`
	MessageID  string        `json:"message_id" doc:"The webhook-id: the same whenever the event is sent."`
	Type       webhook.Type  `json:"type"`
	Subject    event.Stream  `json:"subject"`
	Sequence   int64         `json:"sequence"`
	Cause      webhook.Cause `json:"cause" enum:"event,replay,redelivery,test"`
	State      webhook.State `json:"state" enum:"pending,delivered,failed"`
	Attempts   int           `json:"attempts"`
	Status     int           `json:"status,omitempty" doc:"Of the last answer."`
	Error      string        `json:"error,omitempty" doc:"Why there was no answer."`
	DurationMS int64         `json:"duration_ms" doc:"Of the last try."`
	CreatedAt  time.Time     `json:"created_at"`
	TriedAt    *time.Time    `json:"tried_at,omitempty"`
	NextTryAt  *time.Time    `json:"next_try_at,omitempty" doc:"Not before then, and not before those before it of its subject."`
	DoneAt     *time.Time    `json:"done_at,omitempty"`
}

type deliveryDetail struct {
	deliveryView
	RequestBody json.RawMessage `json:"request_body" doc:"What is sent, or would be sent now; of a contact only its id to those without contacts:read:tenant. null: its event is kept no longer."`
	Response    string          `json:"response,omitempty" doc:"The first 2 KB of the last answer's body; not of a contact's to those."`
}

type deliveryList struct {
	Items      []deliveryView `json:"items"`
	NextCursor string         `json:"next_cursor,omitempty" doc:"Absent on the last page."`
}

type deliveryListOutput struct{ Body deliveryList }

type deliveryOutput struct{ Body deliveryView }

type deliveryDetailOutput struct{ Body deliveryDetail }

type replayOutput struct {
	Body struct {
		Queued       int        `json:"queued" doc:"How many events were put in line."`
		More         bool       `json:"more" doc:"There may be more: ask again with after."`
		LastSequence int64      `json:"last_sequence"`
		KeptSince    *time.Time `json:"kept_since,omitempty" doc:"If from is before it: events from before it are kept no longer (event_days), and can't be sent again."`
	}
}

func (a *API) registerWebhooks() {
	r := webhooks
	r.prepare = a.checkWebhook
	administer[webhookView, *webhookView, newWebhook, changedWebhook, listWebhooks](a, r)
	register(a, "rotate-webhook-secret", a.rotateSecret)
	register(a, "list-deliveries", a.listDeliveries)
	register(a, "get-delivery", a.getDelivery)
	register(a, "redeliver", a.redeliver)
	register(a, "replay-events", a.replayEvents)
	register(a, "test-webhook", a.testWebhook)
}

// checkWebhook refuses an address that must not be called, events that there are none
// of, and headers that are not the webhook's to set.
func (a *API) checkWebhook(_ string, set map[string]any) error {
	if address, given := set["url"].(string); given {
		if err := a.checkReceiver(address); err != nil {
			return err
		}
	}
	if events, given := set["events"].([]string); given {
		if err := checkEvents(events); err != nil {
			return err
		}
	}
	headers, given := set["headers"].(map[string]line)
	if len(headers) > maxHeaders {
		return invalidField("headers", "are %d, and may be %d", len(headers), maxHeaders)
	}
	plain := map[string]string{}
	for name, value := range headers {
		if len(name) > maxHeaderName || len(value) > maxHeaderValue {
			return invalidField("headers", "may have names of %d and values of %d characters", maxHeaderName, maxHeaderValue)
		}
		if err := webhook.CheckHeader(name, string(value)); err != nil {
			return invalidField("headers", "%s", err)
		}
		plain[name] = string(value)
	}
	if given {
		set["headers"] = plain
	}
	return nil
}

// sealWebhook closes the secrets of a webhook: who reads the database can't sign in our name.
func sealWebhook(ctx context.Context, a *API, name string, set map[string]any) {
	of := webhook.Ref{Tenant: personOf(ctx).Tenant, Name: name}
	if secret, given := set["secret"].(string); given {
		set["secret"] = webhook.Seal(a.seals, of, secret)
	}
	if headers, given := set["headers"].(map[string]string); given {
		set["headers"] = webhook.SealHeaders(a.seals, of, headers)
	}
}

func checkEvents(events []string) error {
	for i, e := range events {
		if !webhook.Selects(e) {
			return invalidField("events["+strconv.Itoa(i)+"]", "%q is no type of event; see docs/webhooks.md", e)
		}
	}
	return nil
}

// checkReceiver refuses an address, and a name all of whose addresses are refused now.
// What it resolves to when it is called is checked then.
func (a *API) checkReceiver(address string) error {
	if err := a.config.Fence.CheckURL(address); err != nil {
		return invalidField("url", "%s", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return invalidField("url", "%s", err)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil // checked above
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	found, err := a.config.Lookup(ctx, u.Hostname())
	if err != nil || len(found) == 0 {
		return nil // it may be known when it is called
	}
	var refused error
	for _, at := range found {
		if refused = a.config.Fence.CheckAddr(at, u.Scheme == "https"); refused == nil {
			return nil
		}
	}
	return invalidField("url", "can't be called: %s", refused)
}

// rotateSecret gives a webhook a new secret, and shows it this once.
func (a *API) rotateSecret(ctx context.Context, in *rotateInput) (*thingOutput[webhookView], error) {
	fields := []field{{"secret", "secret", webhook.NewSecret()}}
	overlap := int64(24 * time.Hour / time.Millisecond)
	if in.Body != nil && in.Body.OverlapMS != nil {
		overlap = *in.Body.OverlapMS
	}
	fields = append(fields, field{"overlap_ms", "overlap_ms", overlap})
	return shown[webhookView](change(ctx, a, webhooks, asked{"rotate-webhook-secret", in.ID.clean(), fields, 0}, a.config.Directory.Update))
}

func hookRef(ctx context.Context, name line) webhook.Ref {
	return webhook.Ref{Tenant: personOf(ctx).Tenant, Name: name.clean()}
}

func (a *API) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*deliveryListOutput, error) {
	q := webhook.DeliveryQuery{State: webhook.State(in.State), Subject: event.Stream(in.Subject.clean()), Since: in.Since, Until: in.Until, Limit: in.Limit + 1}
	if c := in.Cursor.clean(); c != "" {
		before, err := strconv.ParseInt(c, 10, 64)
		if err != nil || before <= 0 {
			return nil, inQuery(&fault.Error{Kind: fault.Invalid, Code: "cursor", Fields: []fault.Field{{Name: "cursor", Sentence: "is not of this list"}}})
		}
		q.Before = before
	}
	list, err := a.config.Webhooks.Deliveries(ctx, hookRef(ctx, in.ID), q)
	if err != nil {
		return nil, unavailable("list deliveries", err)
	}
	out := &deliveryListOutput{Body: deliveryList{Items: []deliveryView{}}}
	for i, d := range list {
		if i == in.Limit {
			out.Body.NextCursor = out.Body.Items[i-1].ID
			break
		}
		out.Body.Items = append(out.Body.Items, deliveryOf(d))
	}
	return out, nil
}

func (a *API) getDelivery(ctx context.Context, in *deliveryInput) (*deliveryDetailOutput, error) {
	d, err := a.config.Webhooks.Delivery(ctx, hookRef(ctx, in.ID), in.Delivery)
	if err != nil {
		return nil, unavailable("read delivery", err)
	}
	detail := deliveryDetail{deliveryView: deliveryOf(d), Response: strings.ToValidUTF8(string(d.Response), "\ufffd")}
	if d.Event.Seq != 0 && len(d.Event.View) == 0 { // the event is kept no longer, and what it was sent with isn't either
		detail.Response = ""
		return &deliveryDetailOutput{Body: detail}, nil
	}
	subject, _, _ := cut(d.Event.Stream)
	if subject == "contact" && !personOf(ctx).May(account.ContactsRead.At(account.Tenant)) {
		d.Event.View, detail.Response = withoutContact(d.Event.View), ""
	}
	data := d.Event.View
	if d.Event.Seq != 0 {
		if data, err = EventData(d.Event); err != nil {
			return nil, err
		}
	}
	body, err := webhook.Body(d.Message, d.Type, d.Event, data)
	if err != nil {
		return nil, fault.E(fault.Internal, "show a delivery", err)
	}
	detail.RequestBody = body
	return &deliveryDetailOutput{Body: detail}, nil
}

func (a *API) redeliver(ctx context.Context, in *redeliverInput) (*deliveryOutput, error) {
	d, err := a.config.Webhooks.Redeliver(ctx, a.author(ctx, "redeliver", nil), in.ID.clean(), in.Delivery)
	return a.posted(ctx, "redeliver", in.ID, d, err)
}

func (a *API) testWebhook(ctx context.Context, in *testInput) (*deliveryOutput, error) {
	d, err := a.config.Webhooks.PingWebhook(ctx, a.author(ctx, "test-webhook", nil), in.ID.clean())
	return a.posted(ctx, "test", in.ID, d, err)
}

// posted answers with what was put in line; a refusal is told to the trail here.
func (a *API) posted(ctx context.Context, verb string, name line, d webhook.Delivery, err error) (*deliveryOutput, error) {
	if err != nil {
		a.audit.add(personOf(ctx), "webhook."+verb, "webhook:"+name.clean(), err)
		return nil, unavailable(verb+" a webhook", err)
	}
	return &deliveryOutput{Body: deliveryOf(d)}, nil
}

func (a *API) replayEvents(ctx context.Context, in *replayInput) (*replayOutput, error) {
	r := webhook.Replay{From: in.Body.From, To: a.now()}
	if in.Body.To != nil {
		r.To = *in.Body.To
	}
	if !r.From.Before(r.To) {
		return nil, invalidField("from", "must be before to")
	}
	if in.Body.Events != nil {
		r.Events, _ = plainValue(reflect.ValueOf(*in.Body.Events)).([]string)
	}
	if err := checkEvents(r.Events); err != nil {
		return nil, err
	}
	if in.Body.After != nil {
		r.After = *in.Body.After
	}
	done, err := a.config.Webhooks.Replay(ctx, a.author(ctx, "replay-events", nil), in.ID.clean(), r)
	if err != nil {
		a.audit.add(personOf(ctx), "webhook.replay", "webhook:"+in.ID.clean(), err)
		return nil, unavailable("replay events", err)
	}
	out := &replayOutput{}
	out.Body.Queued, out.Body.More, out.Body.LastSequence = done.Queued, done.More, done.Last
	out.Body.KeptSince = moment(done.KeptSince)
	return out, nil
}

func deliveryOf(d webhook.Delivery) deliveryView {
	return deliveryView{
		ID: strconv.FormatInt(d.Number, 10), MessageID: d.Message, Type: d.Type, Subject: d.Subject, Sequence: d.Event.Seq, Cause: d.Cause, State: d.State,
		Attempts: d.Attempts, Status: d.Status, Error: d.Error, DurationMS: d.Took.Milliseconds(), CreatedAt: d.Created.UTC(), TriedAt: moment(d.Tried),
		NextTryAt: moment(d.Next), DoneAt: moment(d.Done),
	}
}

// EventData is what a webhook's message says of an event: the view as GET /v1/events
// shows it, of a session with user, name and team; a contact as it is now.
func EventData(e event.Event) (json.RawMessage, error) {
	var shown any
	var err error
	switch kind, _, _ := cut(e.Stream); kind {
	case "agent":
		var v agent.View
		err = json.Unmarshal(e.View, &v)
		shown = presenceOf(v)
	case "call":
		var v call.View
		err = json.Unmarshal(e.View, &v)
		shown = callOf(v)
	case "contact":
		shown, err = toldContact(e.View)
	default:
		shown = e.View
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "show an event", err)
	}
	return json.Marshal(shown)
}
