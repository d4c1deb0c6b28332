package dialog

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
)

// Refresher says who has to refresh the session.
type Refresher string

const (
	// RefreshLocal: we do.
	RefreshLocal Refresher = "local"
	// RefreshRemote: the peer does.
	RefreshRemote Refresher = "remote"
)

// Session is the session timer of a dialog (RFC 4028); the zero value means none.
type Session struct {
	// Interval is the agreed Session-Expires.
	Interval time.Duration `json:"interval_ns,omitempty"`
	Refresh  Refresher     `json:"refresh,omitempty"`
	// RefreshAt is when we have to send a refresh (half of the interval); zero if the peer refreshes.
	RefreshAt time.Time `json:"refresh_at,omitzero"`
	// ExpiresAt is when to send BYE if no refresh has happened: min(32 s, a third) before the interval's end.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// MinSE is the largest minimum that a 422 has asked of us in this call.
	MinSE time.Duration `json:"min_se_ns,omitempty"`
}

// TimerPolicy is what we want of session timers.
type TimerPolicy struct {
	// Interval is the Session-Expires that we ask for. Default 1800 s; 90 s at least.
	Interval time.Duration
	// MinSE is the shortest that we take. Default and minimum 90 s (RFC 4028 §5).
	MinSE time.Duration
}

func (p TimerPolicy) orDefault() TimerPolicy {
	const floor = 90 * time.Second
	p.MinSE = max(p.MinSE, floor)
	if p.Interval <= 0 {
		p.Interval = 1800 * time.Second
	}
	p.Interval = max(p.Interval, p.MinSE)
	return p
}

// Offer are the timer headers for our INVITE or UPDATE, besides "timer" in Supported, which the caller lists with its
// other extensions. In a dialog the refresher stays who it is.
func (d *Dialog) Offer(p TimerPolicy) []sip.Header {
	p = p.orDefault()
	interval := max(p.Interval, d.Timer.MinSE)
	minSE := max(p.MinSE, d.Timer.MinSE)
	if d.Timer.Interval > 0 {
		interval = max(d.Timer.Interval, minSE)
	}
	value := seconds(interval)
	switch d.Timer.Refresh {
	case RefreshLocal:
		value += ";refresher=uac" // the roles of the request, not of the call
	case RefreshRemote:
		value += ";refresher=uas"
	}
	return []sip.Header{sip.NewHeader("Session-Expires", value), sip.NewHeader("Min-SE", seconds(minSE))}
}

// TooSmall takes a 422 to our request: it notes the peer's Min-SE, so that the next Offer asks for as much. False if the
// response names none, or absurdly much: trying again would be no use.
func (d *Dialog) TooSmall(res *sip.Response) bool {
	minSE, err := strconv.Atoi(headers.Value(res, "Min-SE"))
	if err != nil || minSE < 1 || time.Duration(minSE)*time.Second <= d.Timer.MinSE || minSE > 86_400 {
		return false
	}
	d.Timer.MinSE = time.Duration(minSE) * time.Second
	return true
}

// Agree answers the session timer of a peer's INVITE or UPDATE that we are about to accept: the headers for our 2xx, or
// a *Reply 422. Without Session-Expires in the request and "timer" in its Supported we start none. The timer runs from
// now.
func (d *Dialog) Agree(req *sip.Request, p TimerPolicy, now time.Time) ([]sip.Header, error) {
	p = p.orDefault()
	supported := headers.Has(req, "Supported", "timer") || headers.Has(req, "Require", "timer")
	asked, refresher, given := sessionExpires(req)
	minSE, _ := strconv.Atoi(headers.Value(req, "Min-SE")) // none counts as 0
	floor := max(p.MinSE, time.Duration(minSE)*time.Second)
	switch {
	case !given && !supported:
		d.Timer = Session{MinSE: d.Timer.MinSE}
		return nil, nil
	case !given:
		asked, refresher = max(p.Interval, floor), ""
	case asked < p.MinSE && supported:
		return nil, &Reply{Code: 422, MinSE: p.MinSE}
	case asked < p.MinSE: // a proxy asks what its own rules forbid (RFC 4028 §8.1), and no 422 would help
		d.Timer = Session{MinSE: d.Timer.MinSE}
		return nil, nil
	}
	interval := max(min(asked, p.Interval), min(asked, floor))
	who := RefreshRemote // RFC 4028 §9: the requester, unless it cannot or asks us
	if refresher == "uas" || !supported {
		who = RefreshLocal
	}
	d.Timer.start(interval, who, now)
	if who == RefreshLocal {
		return []sip.Header{sip.NewHeader("Session-Expires", seconds(interval)+";refresher=uas")}, nil
	}
	return []sip.Header{
		sip.NewHeader("Session-Expires", seconds(interval)+";refresher=uac"), sip.NewHeader("Require", "timer"),
	}, nil
}

// agreed takes the peer's 2xx to our INVITE or UPDATE.
func (s *Session) agreed(res *sip.Response, now time.Time) {
	interval, refresher, given := sessionExpires(res)
	if !given || interval <= 0 {
		*s = Session{MinSE: s.MinSE}
		return
	}
	who := RefreshLocal
	if refresher == "uas" {
		who = RefreshRemote
	}
	s.start(max(interval, shortest), who, now)
}

// shortest bounds what a peer may make us do: RFC 4028 §4 allows no interval below 90 s, some test with less.
const shortest = 30 * time.Second

func (s *Session) start(interval time.Duration, who Refresher, now time.Time) {
	s.Interval, s.Refresh = interval, who
	s.RefreshAt = time.Time{}
	if who == RefreshLocal {
		s.RefreshAt = now.Add(interval / 2)
	}
	s.ExpiresAt = now.Add(interval - min(32*time.Second, interval/3))
}

// Next is the session timer's next deadline; zero if there is none. At RefreshAt a refresh is sent (and, until it is
// answered, the next deadline is ExpiresAt: set RefreshAt to zero), at ExpiresAt a BYE.
func (s *Session) Next() time.Time {
	if !s.RefreshAt.IsZero() && s.RefreshAt.Before(s.ExpiresAt) {
		return s.RefreshAt
	}
	return s.ExpiresAt
}

func sessionExpires(m sip.Message) (interval time.Duration, refresher string, given bool) {
	v := headers.Value(m, "Session-Expires")
	number, rest, _ := strings.Cut(v, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil {
		return 0, "", false
	}
	for _, p := range strings.Split(rest, ";") {
		if k, v, ok := strings.Cut(p, "="); ok && strings.EqualFold(strings.TrimSpace(k), "refresher") {
			refresher = strings.ToLower(strings.TrimSpace(v))
		}
	}
	return time.Duration(n) * time.Second, refresher, true
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
