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
	Devices     []deviceView         `json:"devices" doc:"Which I may choose."`
}

type deviceView struct {
	ID        id.Device `json:"id"`
	Kind      leg.Kind  `json:"kind" enum:"sip,webrtc,external"`
	Number    string    `json:"number,omitempty" doc:"Of an external device."`
	Reachable bool      `json:"reachable"`
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
		for _, d := range devices {
			v.Devices = append(v.Devices, deviceView{ID: d.Name, Kind: d.Kind, Number: d.Number, Reachable: d.Reachable, UserAgent: d.UserAgent})
		}
	}
	return &meOutput{Body: v}, nil
}
