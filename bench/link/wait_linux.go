package link

import (
	"syscall"
	"time"
)

// waitUntil blocks its thread: the runtime's timers are a millisecond coarse
// where nothing else runs, twice the delay that is wanted here.
func waitUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		ts := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&ts, nil) // cut short by a signal: again
	}
}
