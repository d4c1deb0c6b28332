package media

import "time"

// sweep visits each leg about once per second, a share of them at each tick: what
// is not urgent costs nothing per packet.
func (sh *shard) sweep() {
	step := int32(sh.engine.cfg.tune.sweepTicks)
	for slot := int32(sh.ticks % int64(step)); slot < sh.legs.size(); slot += step {
		if l := sh.legs.leg(slot); l.state == legReady {
			sh.visit(l)
		}
	}
}

func (sh *shard) visit(l *leg) {
	sh.guard(l)
	sh.forgetDigit(l)
	sh.report(l)
	// After a report the limit runs anew, so that a stream that nobody ends is
	// reported again, but not each second.
	if sh.now-max(l.life, l.warned) >= int64(sh.timeout(l)) {
		l.warned = sh.now
		sh.event(l, Event{Kind: Timeout, Duration: time.Duration(sh.now - l.life)})
	}
}

// event fills in what all events have and queues it.
func (sh *shard) event(l *leg, ev Event) {
	ev.Stream = sh.legs.side(l.slot).stream
	ev.At = sh.engine.clock.wall(sh.now)
	sh.engine.events.put(ev)
}
