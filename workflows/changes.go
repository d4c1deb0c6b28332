package workflows

// The ids of changed behaviour. A workflow that runs while a new build is rolled out
// must go on as it began: its history is replayed by the new build. So a change of what
// a workflow asks of the world, or of the order in which it does, stands behind an id
// here, dated and named by what changed:
//
//	// changeRingNotes lets a ring write the Save that comes with it.
//	const changeRingNotes = "2026-11-21-ring-notes"
//
//	if workflow.GetVersion(ctx, changeRingNotes, workflow.DefaultVersion, 1) >= 1 { … }
//
// That holds for the machines of domain/ as well: an effect that Step no longer emits,
// or emits in another order, changes every history in which it was emitted. The
// histories of tests/histories tell. An id may go when no workflow is open any more
// that began before it; agent sessions live for a shift, calls for hours.

// changeCleanStop lets a guard end, after a clean stop of its node, the calls whose end
// the node could not tell in time.
const changeCleanStop = "2026-11-21-clean-stop-ends-the-rest"

// changeWitness lets a guard give a node up only if the registry does not hear it
// either.
const changeWitness = "2026-11-21-node-is-lost-by-two-witnesses"

// changeEarlyRefusal lets a call hear the refusal of an offer before the match that made
// it: the match is late then, and nothing rings.
const changeEarlyRefusal = "2026-11-21-refusal-before-its-match"

// changeDelay lets a session keep out of the match for a short time when no line to it
// was free. Before, it took such an end of an offer as an offer taken back.
const changeDelay = "2026-11-21-delay-when-no-line-is-free"

// changeOfferToNobody lets a call go on to the next agent when the session that it would
// tell of its offer is gone. Before, it rang the phone until the offer ran out.
const changeOfferToNobody = "2026-11-21-offer-to-a-session-that-is-gone"
