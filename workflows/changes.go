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
