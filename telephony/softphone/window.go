package softphone

import "slices"

// Latest returns the last complete window of what was heard (100 ms), nil before the first.
func (a *Audio) Latest() []int16 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.latest)
}
