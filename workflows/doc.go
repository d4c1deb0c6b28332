// Package workflows holds the durable loops: AgentSession, Call, NodeGuard and Webhook. A
// session or a call is a pure machine of domain/; what stands here is how its
// messages arrive, how its effects are carried out, when it sleeps and how the
// Temporal Web UI shows it.
package workflows
