package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// GuardBeat is how often a node shows its guard that it lives.
const GuardBeat = 2 * time.Second

const (
	// witnessWatch is how long the registry is watched for a node's heartbeat, which
	// comes each 2 s, and witnessLook how often it is looked at.
	witnessWatch = 5 * time.Second
	witnessLook  = 250 * time.Millisecond
)

// BootOf names the node's present run. It is no method: every method is an activity.
func BootOf(n *Node) string {
	if r, ok := n.Phone.(Renewed); ok {
		return r.Boot()
	}
	return n.Boot
}

// Guarded reports whether the node's guard watches this run now.
func Guarded(n *Node) bool { return n.guards.Load() > 0 }

// Guard lasts as long as the node's run boot and beats meanwhile; each beat carries
// the node's time. It returns nil at a clean stop and fault.NotFound when another
// run of the node picked it up, or the node goes on under another boot: then boot is
// over. When its beats don't reach Temporal it ends with ctx's error, which says that
// the node lives.
func (n *Node) Guard(ctx context.Context, boot string) error {
	n.guards.Add(1)
	defer n.guards.Add(-1)
	ticks := time.NewTicker(GuardBeat)
	defer ticks.Stop()
	for now := time.Now(); BootOf(n) == boot; {
		activity.RecordHeartbeat(ctx, now)
		select {
		case <-ctx.Done():
			select {
			case <-n.Stopping: // in order: the worker stops as well
				return nil
			default:
				return ctx.Err()
			}
		case <-n.Stopping:
			return nil
		case now = <-ticks.C:
		}
	}
	return Carry(&fault.Error{Kind: fault.NotFound, Op: "guard node", Sentence: "The node has started anew."})
}

// Renew tells the node that its run boot was given up; see Renewed.
func (n *Node) Renew(_ context.Context, boot string) error {
	if r, ok := n.Phone.(Renewed); ok {
		r.Renew(boot)
	}
	return nil
}

// Witness watches the registry for a heartbeat of run l.Boot: whom Temporal hears no
// more may be cut off from Temporal only. It returns at the first heartbeat, else after
// some seconds in which the database could be read all the time and none came.
func (r *Records) Witness(ctx context.Context, l Loss) (Sighting, error) {
	first, err := r.Journal.SeeNode(ctx, l.Node)
	if err != nil || first.Boot != l.Boot || first.Lost {
		return Sighting{}, Carry(err) // never there, replaced, or given up before
	}
	over := time.NewTimer(witnessWatch)
	defer over.Stop()
	looks := time.NewTicker(witnessLook)
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return Sighting{}, ctx.Err()
		case <-over.C:
			return Sighting{Seen: first.Seen}, nil
		case <-looks.C:
		}
		s, err := r.Journal.SeeNode(ctx, l.Node)
		if err != nil || s.Boot != l.Boot || s.Lost {
			return Sighting{}, Carry(err)
		}
		if s.Seen.After(first.Seen) {
			return Sighting{Alive: true, Seen: s.Seen}, nil
		}
	}
}

// LoseNode gives runs of a node up: boot l.Boot, or all but l.Alive. The registry is
// marked first, so that a run that lives after all learns it; then every session is
// told whose phone can't be reached any more, and every open call of it node_lost. The
// phones come first: an agent whose call ends must not be offered the next one on a
// phone that is gone.
// fault.Conflict: l.Boot has beaten since l.Seen, and nothing was told; or l.Alive is a
// run that was given up itself.
func (r *Records) LoseNode(ctx context.Context, l Loss) (calls int, err error) {
	stranded, err := r.Journal.LoseNode(ctx, device.Loss(l))
	if err != nil {
		return 0, Carry(err)
	}
	if err := r.losePhones(ctx, stranded); err != nil {
		return 0, Carry(err)
	}
	refs, err := r.Journal.CallsOf(ctx, l.Node, l.Alive)
	if err != nil {
		return 0, Carry(err)
	}
	for _, ref := range refs {
		if err := r.loseCall(ctx, l, ref); err != nil {
			return calls, Carry(err)
		}
		calls++
	}
	return calls, Carry(r.doubt(ctx, l))
}

// losesAtOnce is how many phones are told of at a time.
const losesAtOnce = 8

// losePhones tells of every phone, or returns why one could not be told; those that
// were told are not told again.
func (r *Records) losePhones(ctx context.Context, list []device.Stranded) error {
	var running sync.WaitGroup
	slots, failed := make(chan struct{}, losesAtOnce), make(chan error, losesAtOnce)
	for _, s := range list {
		slots <- struct{}{}
		if len(failed) > 0 {
			break
		}
		running.Go(func() {
			if err := LosePhone(ctx, r.Client, r.Journal, s); err != nil {
				failed <- err // at most losesAtOnce run when the first comes
			}
			<-slots
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// doubt is a fault.Conflict if the run that is said to live was given up before.
func (r *Records) doubt(ctx context.Context, l Loss) error {
	if l.Alive == "" {
		return nil
	}
	s, err := r.Journal.SeeNode(ctx, l.Node)
	if err == nil && s.Boot == l.Alive && s.Lost {
		err = fault.E(fault.Conflict, "hear of a node", fmt.Errorf("run %s of node %s was given up", l.Alive, l.Node))
	}
	return err
}

func (r *Records) loseCall(ctx context.Context, l Loss, ref call.Ref) error {
	lost := call.NodeLost{Node: l.Node, Boot: l.Boot}
	s, err := r.Journal.CallState(ctx, ref)
	if fault.KindOf(err) == fault.NotFound {
		return nil // closed meanwhile
	}
	if err != nil {
		return err
	}
	if lost.Boot == "" {
		lost.Boot = s.Boot
	}
	m, err := NewMessage(r.now(), string(call.KindNodeLost), lost)
	if err != nil {
		return err
	}
	err = r.Client.SignalWorkflow(ctx, id.CallWorkflow(ref.Tenant, ref.Call), "", m.Kind, m)
	if !missing(err) {
		return unavailable("tell call that its node is lost", err)
	}
	if err := r.wake(ctx, ref, m); fault.KindOf(err) != fault.NotFound {
		return err
	}
	return nil
}

// LosePhone tells the session of a device, if there is one, that registration s of it is
// gone, and removes s. How the device is reached otherwise is read when it is told, and
// told again if it has changed meanwhile: the phone may register elsewhere in the same
// moment, and what is told of that must not be overtaken by older news. An error says
// that s is still there, as a rule: then this is done again.
func LosePhone(ctx context.Context, c client.Client, p Phones, s device.Stranded) error {
	told, owner, reachable := false, id.Agent(""), false // what was told last, and to whom
	tell := func() error {
		for {
			now, there, err := p.Reachable(ctx, s)
			if err != nil || now == owner && there == reachable && told {
				return err
			}
			told, owner, reachable = true, now, there
			if err := tellPhone(ctx, c, agent.Ref{Tenant: s.Tenant, Agent: owner}, agent.DeviceChanged{Device: s.Device, Reachable: there}); err != nil {
				return err
			}
		}
	}
	if err := tell(); err != nil {
		return err
	}
	if err := p.Unstrand(ctx, []device.Stranded{s}); err != nil {
		return err
	}
	return tell() // as long as s was there, others may have counted on it
}

func tellPhone(ctx context.Context, c client.Client, owner agent.Ref, e agent.DeviceChanged) error {
	if owner.Agent == "" {
		return nil
	}
	m, err := NewMessage(time.Now(), string(e.Kind()), e)
	if err != nil {
		return err
	}
	err = c.SignalWorkflow(ctx, id.AgentWorkflow(owner.Tenant, owner.Agent), "", m.Kind, m)
	if missing(err) {
		return nil // not signed in
	}
	return unavailable("tell session that its phone is gone", err)
}
