package park

import "time"

// Check reports all that is wrong with s; at is what errors name it by, such as
// "Config.Schedule".
func (s Schedule) Check(at string) error { return s.validate(at) }

// Next returns how long after now the next attempt is due, or false where there is
// none: so many attempts were made, the last has just failed, and the first failed so long
// ago. asked is how long the failing side asks to wait, which is kept in place of
// the delay of the schedule; less than 0 is nothing. Jitter is drawn anew by each
// call: compute once for each wait.
func (s Schedule) Next(attempts int, age, asked time.Duration, now time.Time) (time.Duration, bool) {
	return s.withDefaults().next(failed{attempts: attempts, waits: attempts - 1, age: age, asked: asked, now: now})
}
