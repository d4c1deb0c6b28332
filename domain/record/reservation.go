package record

import (
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/id"
)

// Reservation is an offer for which an agent, a call in line, or both are kept.
type Reservation struct {
	Session agent.Ref
	Offer   id.Offer
	Until   time.Time // the end of its lease
}
