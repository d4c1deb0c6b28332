package tenancy

import (
	"strings"

	"holdfast/domain/fault"
)

// CompleteDevice fills in the defaults of one device and says what is wrong with it, by
// the names of its fields, beside the trunks and numbers of the document. Whether the
// agent and the owner that it names are there is not looked at.
func (d Document) CompleteDevice(v Device) (Device, []fault.Field) {
	d.Devices = []Device{v}
	c := &check{known: map[string]map[string]bool{"agent": {string(v.Agent): true}, "user": {string(v.Owner): true}}}
	c.devices(d)
	return d.Complete().Devices[0], bare(c.fields, "devices[0].")
}

// CompleteTrunk is CompleteDevice for a trunk.
func (d Document) CompleteTrunk(t Trunk) (Trunk, []fault.Field) {
	d.Trunks = []Trunk{t}
	c := &check{known: map[string]map[string]bool{}}
	c.trunk("trunks[0]", t)
	return d.Complete().Trunks[0], bare(c.fields, "trunks[0].")
}

// bare are fields named as of one thing.
func bare(fields []fault.Field, prefix string) []fault.Field {
	for i, f := range fields {
		fields[i].Name = strings.TrimPrefix(f.Name, prefix)
	}
	return fields
}
