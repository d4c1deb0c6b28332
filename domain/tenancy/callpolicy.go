package tenancy

// CallPolicies are those of call control. All are kept and checked; what the last three decide
// is built with the commands of call control.
type CallPolicies struct {
	DirectCallRequiresReady  bool   `yaml:"direct_call_requires_ready,omitempty" json:"direct_call_requires_ready,omitempty"`   // SEED-71, SEED-81
	OutboundRequiresNotReady bool   `yaml:"outbound_requires_not_ready,omitempty" json:"outbound_requires_not_ready,omitempty"` // SEED-80
	TransferToNotReady       string `yaml:"transfer_to_not_ready,omitempty" json:"transfer_to_not_ready,omitempty"`             // refuse (default) or drop (SEED-85)
	// DialAllowed are the beginnings of the numbers that may be dialled, "+49"; none: any. See dialplan.Limits.
	DialAllowed           []string `yaml:"dial_allowed,omitempty" json:"dial_allowed,omitempty"`
	MonitorVisibleToAgent bool     `yaml:"monitor_visible_to_agent,omitempty" json:"monitor_visible_to_agent,omitempty"` // SEED-102
}
