package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// clientLogRoutes are the endpoints about what clients report of themselves (SEED-129).
func clientLogRoutes() []route {
	return []route{
		{"upload-client-log", http.MethodPost, "/v1/client-logs", signedIn, "Report what a client has noted: entries as JSON, or a file as text/plain or application/gzip; at most 1 MiB", http.StatusCreated},
		{"list-client-logs", http.MethodGet, "/v1/client-logs", may(account.LogsRead), "What clients reported, newest first", 0},
		{"get-client-log", http.MethodGet, "/v1/client-logs/{id}", may(account.LogsRead), "Download what a client reported", 0},
	}
}

// ClientLogs keeps what clients report; *db.DB satisfies it.
type ClientLogs interface {
	// KeepClientLog keeps a report; fault.TooMany: it is too much within a day.
	KeepClientLog(ctx context.Context, t id.Tenant, l record.ClientLog) (record.ClientLog, error)
	// ClientLogs lists reports without their bodies, newest first.
	ClientLogs(ctx context.Context, t id.Tenant, q record.ClientLogQuery) ([]record.ClientLog, error)
	// ClientLog reads one with its body; fault.NotFound.
	ClientLog(ctx context.Context, t id.Tenant, name string) (record.ClientLog, error)
}

// The media of client logs.
const (
	mediaJSON  = "application/json"
	mediaLines = "application/x-ndjson"
	mediaText  = "text/plain"
	mediaGzip  = "application/gzip"
)

const (
	maxLogEntries  = 10_000
	maxLogMessage  = 16 << 10
	maxLogExpanded = 32 << 20 // of a compressed file, so that nobody is harmed who opens it
)

// logEntry is one entry of a report. Unlike other texts of requests its texts are kept
// as they come: they stand in a file, and nowhere else.
type logEntry struct {
	Time    time.Time       `json:"time"`
	Level   string          `json:"level" enum:"debug,info,warn,error"`
	Message string          `json:"message" maxLength:"16384"`
	Context json.RawMessage `json:"context,omitempty"`
}

type logEntries struct {
	Entries []logEntry `json:"entries" minItems:"1" maxItems:"10000"`
}

type uploadLogInput struct {
	Keyed
	ContentType line `header:"Content-Type" maxLength:"128"`
	UserAgent   line `header:"User-Agent" maxLength:"1024"`
	Version     line `query:"version" maxLength:"64" doc:"Of the program that reports."`
	SentAt      line `query:"sent_at" maxLength:"40" doc:"What time the client has: how far its clock is off is kept." example:"2026-11-21T09:00:00.123Z"`
	RawBody     []byte
}

type clientLogView struct {
	ID        string    `json:"id"`
	User      id.User   `json:"user"`
	Agent     id.Agent  `json:"agent,omitempty"`
	At        time.Time `json:"at"`
	Address   string    `json:"address" doc:"From where it came."`
	UserAgent string    `json:"user_agent"`
	Version   string    `json:"version,omitempty"`
	SkewMS    *int64    `json:"clock_ahead_ms,omitempty" doc:"How far the client's clock was ahead of ours, the way of the report included."`
	Media     string    `json:"media_type" enum:"application/x-ndjson,text/plain,application/gzip"`
	Entries   int       `json:"entries,omitempty"`
	Size      int       `json:"size" doc:"In bytes."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it is deleted."`
}

func clientLogOf(l record.ClientLog) clientLogView {
	v := clientLogView{ID: l.ID, User: l.User, Agent: l.Agent, At: l.At.UTC(), Address: l.Address, UserAgent: l.UserAgent, Version: l.Program,
		Media: l.Media, Entries: l.Entries, Size: l.Size, ExpiresAt: l.Expires.UTC()}
	if l.Told {
		v.SkewMS = ptr(l.Skew.Milliseconds())
	}
	return v
}

type clientLogOutput struct{ Body clientLogView }

type listLogsInput struct {
	User   line      `query:"user" maxLength:"64" doc:"Who reported."`
	From   time.Time `query:"from" doc:"Reported at or after."`
	To     time.Time `query:"to" doc:"Reported before."`
	Sort   string    `query:"sort" enum:"-at,at" default:"-at" doc:"-at: newest first."`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor line      `query:"cursor" maxLength:"64" doc:"The next_cursor of the page before, with the same sort."`
}

type listLogsOutput struct{ Body thingList[clientLogView] }

type fileOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte
}

// report reads what was uploaded into what is kept.
func (in *uploadLogInput) report(now time.Time) (l record.ClientLog, err error) {
	l = record.ClientLog{UserAgent: in.UserAgent.clean(), Program: in.Version.clean(), Body: in.RawBody}
	if in.SentAt != "" {
		sent, err := time.Parse(time.RFC3339, in.SentAt.clean())
		if err != nil {
			return l, inQuery(invalidField("sent_at", "is not a time, such as 2026-11-21T09:00:00Z"))
		}
		l.Skew, l.Told = sent.Sub(now), true
	}
	if len(in.RawBody) == 0 {
		return l, invalidField("", "there is nothing in it")
	}
	l.Media, _, err = mime.ParseMediaType(in.ContentType.clean())
	switch {
	case err == nil && l.Media == mediaJSON:
		l.Media = mediaLines
		l.Body, l.Entries, err = lines(in.RawBody)
	case err == nil && l.Media == mediaText:
		if !utf8.Valid(in.RawBody) {
			err = invalidField("", "the text is not UTF-8")
		}
	case err == nil && l.Media == mediaGzip:
		err = expands(in.RawBody)
	default:
		err = validationProblem(http.StatusUnsupportedMediaType, "send application/json, text/plain or application/gzip", nil)
	}
	return l, err
}

// lines writes entries one on each line, each as it was checked.
func lines(body []byte) ([]byte, int, error) {
	var in logEntries
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || d.More() {
		return nil, 0, invalidField("entries", "is not a list of entries with time, level, message and context")
	}
	if len(in.Entries) == 0 || len(in.Entries) > maxLogEntries {
		return nil, 0, invalidField("entries", "must be between 1 and %d", maxLogEntries)
	}
	var out bytes.Buffer
	for i, e := range in.Entries {
		switch {
		case !slices.Contains([]string{"debug", "info", "warn", "error"}, e.Level):
			return nil, 0, invalidField(fmt.Sprintf("entries[%d].level", i), "must be debug, info, warn or error")
		case e.Time.IsZero():
			return nil, 0, invalidField(fmt.Sprintf("entries[%d].time", i), "is required")
		case len(e.Message) > maxLogMessage:
			return nil, 0, invalidField(fmt.Sprintf("entries[%d].message", i), "has %d bytes, at most %d are allowed", len(e.Message), maxLogMessage)
		case e.Context != nil && !strings.HasPrefix(string(e.Context), "{"):
			return nil, 0, invalidField(fmt.Sprintf("entries[%d].context", i), "must be an object")
		}
		line, err := json.Marshal(e) // escapes < and >, whatever shows it
		if err != nil {
			return nil, 0, fault.E(fault.Invalid, "read entries", err)
		}
		out.Write(append(line, '\n'))
	}
	if out.Len() > 2*record.MaxClientLog {
		return nil, 0, invalidField("entries", "is too large")
	}
	return out.Bytes(), len(in.Entries), nil
}

// expands refuses what is no compressed file, or one that is made to burst.
func expands(body []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		var n int64
		if n, err = io.Copy(io.Discard, io.LimitReader(z, maxLogExpanded+1)); n > maxLogExpanded {
			return invalidField("", "expands to more than %d bytes", maxLogExpanded)
		}
	}
	if err != nil {
		return invalidField("", "is not a file that gzip wrote")
	}
	return nil
}

func (a *API) uploadLog(ctx context.Context, in *uploadLogInput) (*clientLogOutput, error) {
	p := personOf(ctx)
	l, err := in.report(a.now())
	if err != nil {
		return nil, err
	}
	l.User, l.Home, l.Agent, l.Address = p.Name, p.Home, p.Agent, p.address
	l, err = a.config.Logs.KeepClientLog(ctx, p.Tenant, l)
	if fault.KindOf(err) == fault.TooMany {
		return nil, slowDown(time.Hour, "client_log_quota", "%s", fault.Sentence(err))
	}
	if err != nil {
		return nil, unavailable("keep a client log", err)
	}
	return &clientLogOutput{clientLogOf(l)}, nil
}

func (a *API) listLogs(ctx context.Context, in *listLogsInput) (*listLogsOutput, error) {
	list, err := a.config.Logs.ClientLogs(ctx, personOf(ctx).Tenant, record.ClientLogQuery{
		User: id.User(in.User.clean()), From: in.From, To: in.To, After: in.Cursor.clean(), OldestFirst: in.Sort == "at", Limit: in.Limit + 1})
	if err != nil {
		return nil, unavailable("list client logs", err)
	}
	out := &listLogsOutput{Body: thingList[clientLogView]{Items: []clientLogView{}}}
	for i, l := range list {
		if i == in.Limit {
			out.Body.NextCursor = list[i-1].ID
			break
		}
		out.Body.Items = append(out.Body.Items, clientLogOf(l))
	}
	return out, nil
}

// downloadLog sends a report as a file: whatever it holds, no browser shows it as a page
// of ours. Who read it stands in the trail.
func (a *API) downloadLog(ctx context.Context, in *thingInput) (*fileOutput, error) {
	p, name := personOf(ctx), in.ID.clean()
	l, err := a.config.Logs.ClientLog(ctx, p.Tenant, name)
	if fault.KindOf(err) == fault.NotFound {
		return nil, notFound("no_such_client_log", "There is no client log %s; those past their time are deleted.", name)
	}
	if err != nil {
		return nil, unavailable("read a client log", err)
	}
	a.audit.add(p, "client_log.read", "client_log:"+l.ID, nil)
	kind, ending := mediaText+"; charset=utf-8", "txt"
	switch l.Media {
	case mediaLines:
		kind, ending = mediaLines, "ndjson"
	case mediaGzip:
		kind, ending = mediaGzip, "gz"
	}
	return &fileOutput{ContentType: kind, Disposition: fmt.Sprintf(`attachment; filename="client-log-%s.%s"`, l.ID, ending), Policy: "sandbox; default-src 'none'", Body: l.Body}, nil
}

func (a *API) registerClientLogs() {
	register(a, "upload-client-log", a.uploadLog)
	register(a, "list-client-logs", a.listLogs)
	register(a, "get-client-log", a.downloadLog)
	a.describeClientLogs()
}

// describeClientLogs tells the reference which media go in and out.
func (a *API) describeClientLogs() {
	file := &huma.Schema{Type: huma.TypeString, Format: "binary"}
	schemas := a.huma.OpenAPI().Components.Schemas
	item := a.huma.OpenAPI().Paths["/v1/client-logs"]
	item.Post.RequestBody.Content = map[string]*huma.MediaType{
		mediaJSON: {Schema: schemas.Schema(reflect.TypeFor[logEntries](), true, "")}, mediaText: {Schema: file}, mediaGzip: {Schema: file},
	}
	item.Post.Responses["429"] = item.Post.Responses["422"]
	item.Post.Responses["413"] = item.Post.Responses["422"]
	item.Post.Responses["415"] = item.Post.Responses["422"]
	a.huma.OpenAPI().Paths["/v1/client-logs/{id}"].Get.Responses["200"].Content = map[string]*huma.MediaType{
		mediaLines: {Schema: file}, mediaText: {Schema: file}, mediaGzip: {Schema: file},
	}
}
