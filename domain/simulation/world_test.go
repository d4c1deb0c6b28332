package simulation

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"holdfast/domain/id"
)

// faults says what goes wrong in a world, as chances between 0 and 1.
type faults struct {
	lose   float64 // a fact never arrives
	double float64 // a fact, or the work of an effect, comes twice
	fail   float64 // an effect fails and must be tried again
	slow   time.Duration
	hasty  float64 // an agent takes Ready back at once
	noLine float64 // no line is free for a ring
}

// staff is how many agents there are. Where they are hasty they are few: somebody must
// be waiting when an agent becomes ready.
func (f faults) staff() int {
	if f.hasty > 0 {
		return 14
	}
	return 50
}

// world is a contact center in a box: a clock, an agenda, and everybody in it.
type world struct {
	seed      uint64
	rng       *rand.Rand
	faults    faults
	now       time.Time
	agenda    agenda
	count     int // of appointments: the order among those of the same time
	flying    int // messages and effects under way
	early     int // refusals that overtook their match
	ledger    *ledger
	agents    map[id.Agent]*session
	calls     map[id.Call]*conversation
	history   []string
	recording bool   // note the history: only when a seed is run again to explain it
	changed   bool   // since the last watch
	broken    string // the first promise that was broken
}

var morning = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func newWorld(seed uint64, f faults) *world {
	return &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), faults: f, now: morning,
		ledger: newLedger(), agents: map[id.Agent]*session{}, calls: map[id.Call]*conversation{},
	}
}

// appointment is something that will happen.
type appointment struct {
	at time.Time
	n  int
	do func()
}

type agenda []appointment

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].n, a[j].n)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// at lets do happen at a time.
func (w *world) at(t time.Time, do func()) {
	w.count++
	heap.Push(&w.agenda, appointment{t, w.count, do})
}

// after lets do happen after a while.
func (w *world) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// fly is after for what is under way between machines: until it has arrived, the
// world is not at rest.
func (w *world) fly(d time.Duration, do func()) {
	w.flying++
	w.after(d, func() {
		w.flying--
		do()
	})
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// between is a random time from low to high.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)+1))
}

// trip is how long a message is under way.
func (w *world) trip() time.Duration {
	if w.faults.slow > 0 && w.chance(0.1) {
		return w.between(0, w.faults.slow)
	}
	return w.between(time.Millisecond, 20*time.Millisecond)
}

// send delivers a fact: perhaps never, perhaps twice, in any order.
func (w *world) send(fact func()) {
	if w.chance(w.faults.lose) {
		return
	}
	w.deliver(fact)
}

// deliver is send for what is never lost, because its sender tries until it is taken.
func (w *world) deliver(fact func()) {
	w.fly(w.trip(), fact)
	if w.chance(w.faults.double) {
		w.fly(w.trip()+w.between(0, 3*time.Second), fact)
	}
}

// run lets things happen until nothing is on the agenda, or a promise is broken.
func (w *world) run(limit time.Time) {
	for len(w.agenda) > 0 && w.broken == "" {
		next := heap.Pop(&w.agenda).(appointment)
		if next.at.After(limit) {
			w.breaks("the world does not come to rest by %s", limit.Format("Jan 2 15:04"))
			return
		}
		w.now = next.at
		next.do()
		w.watch()
	}
}

// note keeps the last lines of what happened, for the report of a failure.
func (w *world) note(format string, args ...any) {
	if !w.recording {
		return
	}
	line := w.now.Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	w.history = append(w.history, line)
}

// breaks notes a broken promise.
func (w *world) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// story is the part of the history that names any of the words.
func (w *world) story(words ...string) string {
	var lines []string
	for _, l := range w.history {
		if slices.ContainsFunc(words, func(x string) bool { return strings.Contains(l, x) }) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-80):], "\n")
}
