package httpapi

import (
	"context"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

type meView struct {
	User        id.User              `json:"user"`
	Name        string               `json:"name"`
	Tenant      id.Tenant            `json:"tenant"`
	Home        id.Tenant            `json:"home,omitempty" doc:"Whose user I am, when I work in another tenant."`
	Kind        account.Kind         `json:"kind" enum:"system_administrator,team_administrator,user" doc:"How far my administration reaches."`
	Roles       []account.Role       `json:"roles"`
	Permissions []account.Permission `json:"permissions"`
	Agent       id.Agent             `json:"agent,omitempty"`
	Teams       []id.Team            `json:"teams" doc:"Whose agents are my subordinates."`
	Devices     []deviceView         `json:"devices" doc:"Which I may choose; with a hot desk, the shared telephones."`
	Mode        string               `json:"binding_mode,omitempty" enum:"fixed,self_adapting,dynamic,hot_desk" doc:"Of the agent: how its devices are found at sign-in."`
	Interfaces  []string             `json:"interfaces,omitempty" doc:"Which I may choose at sign-in, the default first. None: there is nothing to choose, as with a hot desk."`
}

type deviceView struct {
	ID        id.Device `json:"id"`
	Kind      leg.Kind  `json:"kind" enum:"sip,webrtc,external"`
	Number    string    `json:"number,omitempty" doc:"Of an external device."`
	Reachable bool      `json:"reachable"`
	Offered   bool      `json:"offered" doc:"It can be chosen now."`
	InUseBy   id.Agent  `json:"in_use_by,omitempty" doc:"The agent who has it now."`
	UserAgent string    `json:"user_agent,omitempty" doc:"What the registered phone says it is."`
}

type meOutput struct{ Body meView }

func (a *API) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p := personOf(ctx)
	v := meView{
		User: p.Name, Name: p.DisplayName, Tenant: p.Tenant, Home: p.Home, Kind: account.KindOf(p.Permissions), Roles: list(p.Roles), Permissions: list(p.Permissions),
		Agent: p.Agent, Teams: list(p.Teams), Devices: []deviceView{},
	}
	if ref, err := p.ref(); err == nil {
		devices, err := a.config.Reader.Devices(ctx, ref)
		if err != nil {
			return nil, unavailable("list devices", err)
		}
		choice, err := a.config.Reader.Choice(ctx, ref)
		if err != nil {
			return nil, unavailable("list what may be chosen", err)
		}
		v.Mode, v.Interfaces = choice.Mode, choice.Interfaces
		for _, d := range devices {
			if o, listed := choice.Devices[d.Name]; listed {
				v.Devices = append(v.Devices, deviceView{
					ID: d.Name, Kind: d.Kind, Number: d.Number, Reachable: d.Reachable, UserAgent: d.UserAgent, Offered: o.Now, InUseBy: o.UsedBy,
				})
			}
		}
	}
	return &meOutput{Body: v}, nil
}
