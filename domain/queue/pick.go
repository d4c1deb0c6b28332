package queue

// Pick answers ask: the pair that belongs together now, or none, with the reasons.
func Pick(ask Ask) Decision { panic("queue.Pick") }
