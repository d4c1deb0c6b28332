package tenancy

import (
	"cmp"
	"net"
	"slices"

	"holdfast/domain/agent"
	"holdfast/domain/contact"
	"holdfast/domain/device"
	"holdfast/domain/dialplan"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/tariff"
)

// Complete fills in the defaults and puts every list into its order, so that two
// documents that mean the same are the same. The order of an agent's addresses is kept.
func (d Document) Complete() Document {
	d.Tenant.Currency = cmp.Or(d.Tenant.Currency, tariff.DefaultCurrency)
	d.Teams = sorted(d.Teams, func(t Team) string { return string(t.Name) })
	d.Roles = sorted(d.Roles, func(r Role) string { return string(r.Name) })
	d.Users = sorted(d.Users, func(u User) string { return string(u.Name) })
	d.Agents = sorted(d.Agents, func(a Agent) string { return string(a.Number) })
	d.Devices = sorted(d.Devices, func(v Device) string { return string(v.Name) })
	d.Queues = sorted(d.Queues, func(q Queue) string { return string(q.Name) })
	d.Trunks = sorted(d.Trunks, func(t Trunk) string { return t.Name })
	d.Numbers = sorted(d.Numbers, func(n Number) string { return n.Number })
	d.Skills = sorted(d.Skills, func(s Skill) string { return s.Name })
	d.Dispositions = sorted(d.Dispositions, func(p Disposition) string { return p.Name })
	for i := range d.Dispositions {
		d.Dispositions[i].Queues = slices.Sorted(slices.Values(d.Dispositions[i].Queues))
	}
	d.Music = sorted(d.Music, func(m Music) string { return m.Name })
	d.ContactFields = sorted(d.ContactFields, func(f ContactField) string { return f.Key })
	for i := range d.ContactFields {
		d.ContactFields[i].Type = cmp.Or(d.ContactFields[i].Type, contact.Text)
	}
	d.Tariffs = sorted(d.Tariffs, func(t Tariff) string { return t.Prefix })
	for i := range d.Tariffs {
		d.Tariffs[i].complete()
	}
	d.Webhooks = sorted(d.Webhooks, func(w Webhook) string { return w.Name })
	for i := range d.Webhooks {
		d.Webhooks[i].complete()
	}
	for i := range d.Roles {
		d.Roles[i].Permissions = slices.Sorted(slices.Values(d.Roles[i].Permissions))
	}
	for i := range d.Users {
		d.Users[i].Roles = slices.Sorted(slices.Values(d.Users[i].Roles))
		d.Users[i].Teams = slices.Sorted(slices.Values(d.Users[i].Teams))
	}
	for i := range d.Agents {
		a := &d.Agents[i]
		a.RingMethod = cmp.Or(a.RingMethod, "all")
		a.OnNoAnswer = cmp.Or(a.OnNoAnswer, agent.FollowNotReady)
		a.OnReject = cmp.Or(a.OnReject, agent.FollowNotReady)
		a.Binding = cmp.Or(a.Binding, agent.Dynamic)
		a.Skills = sorted(a.Skills, func(s SkillLevel) string { return s.Skill })
	}
	for i := range d.Devices {
		v := &d.Devices[i]
		v.Kind = cmp.Or(v.Kind, leg.SIP)
		v.Settings = v.Settings.Complete(v.Kind)
		if n, err := dialplan.Parse(v.Number, d.Tenant.Country); v.Kind == leg.PSTN && err == nil {
			v.Number = n.E164
		}
	}
	for i := range d.Queues {
		q := &d.Queues[i]
		q.Strategy = cmp.Or(q.Strategy, queue.LongestIdle)
		q.Ring = cmp.Or(q.Ring, Duration(DefaultRing))
		q.Members = sorted(q.Members, func(m Member) string { return string(m.Agent) })
		q.Skills = sorted(q.Skills, func(s SkillLevel) string { return s.Skill })
	}
	for i := range d.Trunks {
		d.Trunks[i].Addresses = slices.Clone(d.Trunks[i].Addresses)
		for j, a := range d.Trunks[i].Addresses {
			if p, err := prefix(a); err == nil {
				d.Trunks[i].Addresses[j] = p.String()
			}
		}
		slices.Sort(d.Trunks[i].Addresses)
		d.Trunks[i].Identity = cmp.Or(d.Trunks[i].Identity, device.Asserted)
		d.Trunks[i].Realm = cmp.Or(d.Trunks[i].Realm, d.Trunks[i].realm())
	}
	return d
}

// realm is the one in which most carriers ask for credentials; empty if the trunk has
// none to show.
func (t Trunk) realm() string {
	if t.Host == "" || t.User == "" {
		return ""
	}
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return t.Host
}

func sorted[T any](list []T, key func(T) string) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return list
}
