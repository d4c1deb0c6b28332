package db

// liveStatements are prepared on every new connection of the live pool: what a
// call or a session waits for.
var liveStatements = []string{
	sqlTenant, sqlLock, sqlStrategy, sqlCandidates, sqlCallers, sqlReserve, sqlTake, sqlDecide,
	sqlCallForPlace, sqlWait, sqlPosition, sqlExcluded,
	sqlPresenceForUpdate, sqlSavePresence, sqlBind, sqlBound, sqlLeaveStand, sqlStand, sqlCallEnded,
	sqlOpenedCall, sqlOpenCall, sqlAdvance, sqlStarted,
	sqlSaveCall, sqlLeaveLine, sqlCloseCall, sqlKeepLeg, sqlKeepSegment, sqlKeepAgents, sqlBook, sqlCountry,
	sqlAgentEvent, sqlCallEvent,
}
