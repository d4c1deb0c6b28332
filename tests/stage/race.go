//go:build race

package stage

// raceEnabled says that the tests run with the race detector.
const raceEnabled = true
