// Package simulation holds no product code: its tests let the machines of agents
// and calls, joined by queue.Pick, play a busy hour of a contact center in a little
// world of callers, phones, a telephony node and a ledger, where facts come late,
// twice, in the wrong order, or not at all. Every run is a function of its seed.
package simulation
