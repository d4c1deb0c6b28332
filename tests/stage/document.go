package stage

import (
	"fmt"
	"time"

	"holdfast/cmd/tenantfile"
	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

// document is the tenant's file.
func (ten *Tenant) document() []byte {
	plan := ten.plan
	d := tenancy.Document{
		Organization: tenancy.Unit{Name: "stage"}, Division: tenancy.Unit{Name: "tests"},
		Tenant: tenancy.Tenant{Domain: id.Tenant(ten.Domain), Policies: plan.Policies},
		Teams:  []tenancy.Team{{Name: "service"}},
		Users: []tenancy.User{
			{Name: "admin", Password: Password, Roles: []account.Role{account.BusinessAdmin, account.ITAdmin}},
			{Name: "supervisor", Password: Password, Roles: []account.Role{account.Supervisor}, Teams: []id.Team{"service"}},
		},
		Queues:  []tenancy.Queue{{Name: "support", Ring: tenancy.Duration(plan.Ring), MaxWait: tenancy.Duration(plan.MaxWait)}},
		Trunks:  []tenancy.Trunk{{Name: "carrier", Addresses: []string{ten.ip.String()}}},
		Numbers: []tenancy.Number{{Number: "8000", Queue: "support"}},
	}
	for _, a := range plan.Trunk {
		d.Trunks[0].Addresses = append(d.Trunks[0].Addresses, a.String())
	}
	for n := range plan.Agents {
		number := fmt.Sprint(1001 + n)
		a := tenancy.Agent{
			Number: id.Agent(number), User: id.User(number), Team: "service", WrapUp: tenancy.Duration(plan.WrapUp),
			RingMethod: plan.Method, OnNoAnswer: agent.Follow(plan.OnRONA),
		}
		for i := range plan.Devices {
			name := id.Device(number)
			if i > 0 {
				name = id.Device(fmt.Sprintf("%s-%d", number, i+1))
			}
			d.Devices = append(d.Devices, tenancy.Device{Name: name, Kind: leg.SIP, Agent: id.Agent(number), Password: Password})
			a.Addresses = append(a.Addresses, name)
		}
		d.Users = append(d.Users, tenancy.User{Name: id.User(number), Password: Password, Roles: []account.Role{account.Regular}})
		d.Agents = append(d.Agents, a)
		d.Queues[0].Members = append(d.Queues[0].Members, tenancy.Member{Agent: id.Agent(number)})
	}
	if plan.Change != nil {
		plan.Change(&d)
	}
	file, err := tenantfile.Write(d)
	if err != nil {
		panic(fmt.Sprintf("stage: the tenant's file can't be written: %v", err))
	}
	return file
}

// For is a duration as a policy has it.
func For(d time.Duration) *tenancy.Duration {
	v := tenancy.Duration(d)
	return &v
}
