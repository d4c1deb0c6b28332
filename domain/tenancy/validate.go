package tenancy

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/device"
	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

var (
	domainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)
	numberForm = regexp.MustCompile(`^\+?[0-9*#]+$`)
	hexForm    = regexp.MustCompile(`^[0-9a-f]*$`)
)

// The bounds of what a document may say.
const (
	maxName     = 64
	maxText     = 200
	maxDomain   = 253
	maxPassword = 256
	maxWrapUp   = time.Hour
	maxRing     = 5 * time.Minute
	maxWait     = 24 * time.Hour
)

// check collects what is wrong with a document.
type check struct {
	fields []fault.Field
	known  map[string]map[string]bool // kind → names
}

// Validate says everything that is wrong with the document, each with the path of its
// field ("agents[0].user"); nil when nothing is.
func (d Document) Validate() []fault.Field {
	c := &check{known: map[string]map[string]bool{}}
	c.text("organization.name", d.Organization.Name, 1, maxName)
	c.text("organization.display_name", d.Organization.DisplayName, 0, maxText)
	c.text("division.name", d.Division.Name, 1, maxName)
	c.text("division.display_name", d.Division.DisplayName, 0, maxText)
	c.that("tenant.domain", domainForm.MatchString(string(d.Tenant.Domain)) && len(d.Tenant.Domain) <= maxDomain, "must be a domain in lower case, such as demo.localhost")
	c.text("tenant.display_name", d.Tenant.DisplayName, 0, maxText)
	c.that("tenant.country", d.Tenant.Country == "" || dialplan.Country(d.Tenant.Country), "%q is not a country: two capital letters of ISO 3166-1, such as DE", d.Tenant.Country)
	c.that("tenant.policies.idle_logout", d.Tenant.Policies.Idle() >= 0, "must not be negative")
	c.that("tenant.policies.terminal_grace", d.Tenant.Policies.Grace() >= 0, "must not be negative")
	c.passwords(d.Tenant.Policies.Password)
	c.keeping(d.Tenant.Policies.KeepingPolicies)
	c.that("tenant.policies.client_log_days", d.Tenant.Policies.ClientLogDays >= 0 && d.Tenant.Policies.ClientLogDays <= mostClientLogDays, "must be between 1 and %d", mostClientLogDays)
	transfers := []string{"", "refuse", "drop"}
	c.that("tenant.policies.transfer_to_not_ready", slices.Contains(transfers, d.Tenant.Policies.TransferToNotReady), "%q is not allowed: refuse or drop", d.Tenant.Policies.TransferToNotReady)
	for i, p := range d.Tenant.Policies.DialAllowed {
		c.that(fmt.Sprintf("tenant.policies.dial_allowed[%d]", i), dialplan.Prefix(p), "%q is not the beginning of an international number, such as +49, nor + for all", p)
	}
	c.session(d)
	c.names(d)
	c.roles(d)
	c.contactFields(d)
	c.tariffs(d)
	c.webhooks(d)
	for i, u := range d.Users {
		c.user(fmt.Sprintf("users[%d]", i), u)
	}
	c.agents(d)
	c.devices(d)
	c.numbersInside(d)
	c.skills(d)
	c.music(d)
	for i, q := range d.Queues {
		c.queue(fmt.Sprintf("queues[%d]", i), q)
	}
	for i, t := range d.Trunks {
		c.trunk(fmt.Sprintf("trunks[%d]", i), t)
	}
	for i, n := range d.Numbers {
		c.number(fmt.Sprintf("numbers[%d]", i), n)
	}
	return c.fields
}

func (c *check) that(path string, ok bool, sentence string, args ...any) {
	if !ok {
		c.fields = append(c.fields, fault.Field{Name: path, Sentence: fmt.Sprintf(sentence, args...)})
	}
}

func (c *check) text(path, s string, least, most int) {
	n := len([]rune(s))
	c.that(path, n >= least, "is missing")
	c.that(path, n <= most, "has %d characters, at most %d are allowed", n, most)
	c.that(path, !strings.ContainsAny(s, "\r\n\x00"), "must be one line")
}

// name checks the key of an entry, and that it stands only once.
func (c *check) name(kind, path, s string, form *regexp.Regexp) {
	c.that(path, form.MatchString(s) && len(s) <= maxName, "%q is not a valid name: letters, digits and . _ - up to %d characters", s, maxName)
	if c.known[kind] == nil {
		c.known[kind] = map[string]bool{}
	}
	c.that(path, !c.known[kind][s], "%s %q stands twice", kind, s)
	c.known[kind][s] = true
	c.that(path, !directory.Reserved(directory.Kind(kind), s), "%q is a word of the API: take another name", s)
}

// names checks and remembers every key, before anything refers to one.
func (c *check) names(d Document) {
	for i, t := range d.Teams {
		c.name("team", fmt.Sprintf("teams[%d].name", i), string(t.Name), nameForm)
		c.text(fmt.Sprintf("teams[%d].display_name", i), t.DisplayName, 0, maxText)
	}
	for i, r := range d.Roles {
		c.name("role", fmt.Sprintf("roles[%d].name", i), string(r.Name), nameForm)
	}
	for i, u := range d.Users {
		c.name("user", fmt.Sprintf("users[%d].name", i), string(u.Name), nameForm)
	}
	for i, a := range d.Agents {
		c.name("agent", fmt.Sprintf("agents[%d].number", i), string(a.Number), numberForm)
	}
	for i, v := range d.Devices {
		c.name("device", fmt.Sprintf("devices[%d].name", i), string(v.Name), nameForm)
	}
	for i, s := range d.Skills {
		c.name("skill", fmt.Sprintf("skills[%d].name", i), s.Name, nameForm)
	}
	for i, p := range d.Dispositions {
		c.name("disposition", fmt.Sprintf("dispositions[%d].name", i), p.Name, nameForm)
	}
	for i, m := range d.Music {
		c.name("music", fmt.Sprintf("music[%d].name", i), m.Name, nameForm)
	}
	for i, q := range d.Queues {
		c.name("queue", fmt.Sprintf("queues[%d].name", i), string(q.Name), nameForm)
	}
	for i, t := range d.Trunks {
		c.name("trunk", fmt.Sprintf("trunks[%d].name", i), t.Name, nameForm)
	}
	for i, n := range d.Numbers {
		c.name("number", fmt.Sprintf("numbers[%d].number", i), n.Number, numberForm)
	}
}

// refer checks that something named exists; an empty name refers to nothing.
func (c *check) refer(kind, path, name string) {
	c.that(path, name == "" || c.known[kind][name], "there is no %s %q in this file", kind, name)
}

func (c *check) password(path, password, kept string) {
	c.that(path+".password", password == "" || kept == "", "give a password or what is kept of one, not both")
	c.that(path+".password", len(password) <= maxPassword, "has more than %d bytes", maxPassword)
}

func (c *check) user(path string, u User) {
	c.text(path+".display_name", u.DisplayName, 0, maxText)
	c.password(path, u.Password, u.PasswordHash)
	c.that(path+".password_hash", u.PasswordHash == "" || u.PasswordHash == KeptPassword || strings.HasPrefix(u.PasswordHash, "$argon2id$"), "must be an argon2id hash in PHC form, or the word "+KeptPassword)
	c.that(path+".roles", len(u.Roles) > 0, "is missing: a user has at least one role")
	for i, r := range u.Roles {
		known := slices.Contains(account.Given(), r) || c.known["role"][string(r)]
		c.that(fmt.Sprintf("%s.roles[%d]", path, i), known, "there is no role %q in this file, nor among those of every tenant: %v", r, account.Given())
	}
	c.refer("team", path+".team", string(u.Team))
	for i, t := range u.Teams {
		c.refer("team", fmt.Sprintf("%s.teams[%d]", path, i), string(t))
	}
}

// agents checks that each agent belongs to one user whose role makes an agent (SEED-6, SEED-15).
func (c *check) agents(d Document) {
	roles := map[string][]account.Role{}
	for _, u := range d.Users {
		roles[string(u.Name)] = u.Roles
	}
	own, taken := d.OwnRoles(), map[string]bool{}
	for i, a := range d.Agents {
		path := fmt.Sprintf("agents[%d]", i)
		user := string(a.User)
		c.that(path+".user", user != "", "is missing")
		c.refer("user", path+".user", user)
		c.that(path+".user", !taken[user], "user %q has an agent already: a user has at most one", user)
		taken[user] = true
		if r, ok := roles[user]; ok {
			c.that(path+".user", account.MakesAgent(own.Permissions(r)), "user %q has no role of an agent (%s or %s)", user, account.Regular, account.Supervisor)
		}
		c.refer("team", path+".team", string(a.Team))
		c.that(path+".wrap_up", a.WrapUp >= 0 && time.Duration(a.WrapUp) <= maxWrapUp, "must be between 0 and %s", maxWrapUp)
		c.that(path+".ring_method", slices.Contains([]string{"", "all", "linear", "single"}, a.RingMethod), "must be all, linear or single")
		for name, f := range map[string]agent.Follow{"on_no_answer": a.OnNoAnswer, "on_reject": a.OnReject} {
			c.that(path+"."+name, f == "" || f == agent.FollowNotReady || f == agent.FollowStay, "must be not_ready or stay")
		}
		for j, v := range a.Addresses {
			c.refer("device", fmt.Sprintf("%s.addresses[%d]", path, j), string(v))
			c.that(fmt.Sprintf("%s.addresses[%d]", path, j), slices.Index(a.Addresses, v) == j, "stands twice")
		}
	}
}

func (c *check) hex(path, s string, length int) {
	c.that(path, s == "" || len(s) == length && hexForm.MatchString(s), "must be %d hexadecimal digits in lower case", length)
}

func (c *check) queue(path string, q Queue) {
	c.text(path+".display_name", q.DisplayName, 0, maxText)
	c.that(path+".strategy", q.Strategy == "" || q.Strategy.Valid(), "%q is not a strategy: longest_idle, fewest_calls, linear or random", q.Strategy)
	c.that(path+".ring", q.Ring >= 0 && time.Duration(q.Ring) <= maxRing, "must be between 0 and %s", maxRing)
	c.that(path+".max_wait", q.MaxWait >= 0 && time.Duration(q.MaxWait) <= maxWait, "must be between 0 and %s", maxWait)
	seen := map[string]bool{}
	for i, m := range q.Members {
		member := fmt.Sprintf("%s.members[%d].agent", path, i)
		c.that(member, m.Agent != "", "is missing")
		c.refer("agent", member, string(m.Agent))
		c.that(member, !seen[string(m.Agent)], "agent %q stands twice", m.Agent)
		seen[string(m.Agent)] = true
	}
}

func (c *check) trunk(path string, t Trunk) {
	for i, a := range t.Addresses {
		_, err := prefix(a)
		c.that(fmt.Sprintf("%s.addresses[%d]", path, i), err == nil, "%q is not an IP address or prefix", a)
	}
	c.text(path+".host", t.Host, 0, maxDomain+6)
	c.that(path+".transport", slices.Contains([]string{"", "udp", "tcp"}, t.Transport), "must be udp or tcp")
	c.that(path+".user", t.User == "" || nameForm.MatchString(t.User), "is not a valid name")
	c.password(path, t.Password, t.HA1MD5+t.HA1SHA256)
	c.that(path+".password", t.User != "" || t.Password == "", "a password needs a user")
	c.hex(path+".ha1_md5", t.HA1MD5, 32)
	c.hex(path+".ha1_sha256", t.HA1SHA256, 64)
	c.text(path+".realm", t.Realm, 0, maxDomain)
	c.that(path+".realm", !strings.ContainsAny(t.Realm, "\"\\"), "must have neither quotes nor backslashes")
	c.hex(path+".carrier_md5", t.CarrierMD5, 32)
	c.hex(path+".carrier_sha256", t.CarrierSHA256, 64)
	c.that(path+".caller_id", t.CallerID == "" || device.CallerID(t.CallerID), "%q is not a number to show: up to 32 digits, * and #, + in front", t.CallerID)
	c.that(path+".identity", slices.Contains([]string{"", device.Asserted, device.Unasserted}, t.Identity), "%q is not allowed: asserted or none", t.Identity)
	c.that(path+".limit", t.Limit >= 0, "must not be negative")
}

// prefix reads an address as the prefix of itself.
func prefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (c *check) number(path string, n Number) {
	targets := 0
	for _, name := range []string{string(n.Queue), string(n.Agent), n.Trunk} {
		if name != "" {
			targets++
		}
	}
	c.that(path, targets == 1, "must lead to exactly one of queue, agent and trunk")
	c.that(path+".number", !strings.HasSuffix(n.Number, "*") || n.Trunk != "", "only a number that leads to a trunk can be a prefix")
	c.refer("queue", path+".queue", string(n.Queue))
	c.refer("agent", path+".agent", string(n.Agent))
	c.refer("trunk", path+".trunk", n.Trunk)
}
