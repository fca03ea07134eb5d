package schedule

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/sqltable"
	"github.com/sluicegate/sluicegate/internal/text"
)

// Status is where a task stands.
type Status string

// The statuses. Waiting and Held are unfinished, the others are final.
const (
	Waiting   Status = "waiting" // for its time, or claimed
	Held      Status = "held"    // behind others of its group
	Done      Status = "done"
	Dead      Status = "dead" // given up
	Cancelled Status = "cancelled"
	Expired   Status = "expired"
)

// Finished reports whether s is final.
func (s Status) Finished() bool {
	return s == Done || s == Dead || s == Cancelled || s == Expired
}

// Valid reports whether s is one of the six.
func (s Status) Valid() bool { return s == Waiting || s == Held || s.Finished() }

// What errors.Is finds in an error of this package.
var (
	// ErrInvalid: an argument cannot be used. Nothing was changed.
	ErrInvalid = errors.New("invalid task")
	// ErrStale: the claim is over. The task was settled, by this claim or otherwise, was
	// cancelled, or is another's since the lease ran out. Nothing was changed.
	ErrStale = errors.New("claim of task is stale")
	// ErrNotFound: there is no such task.
	ErrNotFound = errors.New("task not found")
	// ErrFinished: the task is finished already.
	ErrFinished = errors.New("task is finished")
	// ErrLeased: a worker has the task now.
	ErrLeased = errors.New("task is being worked on")
	// ErrHeld: the task waits behind others of its group.
	ErrHeld = errors.New("task is held by its group")
	// ErrContended: the race for a row was lost several times; try again.
	ErrContended = sqltable.ErrContended
)

// Limits of what a task holds, in bytes. A key or group that is longer, or is
// not plain text to every database, is kept as "sha256:" and its hash.
const (
	MaxQueue  = 64
	MaxTarget = 255
	MaxKey    = 255
	MaxState  = 256 << 10
	maxError  = 4 << 10
)

// maxDelay keeps the sum of a clock and a delay within every type.
const maxDelay = 100 * 365 * 24 * time.Hour

// Spec is a task that is to be added.
type Spec struct {
	// Queue is the kind of work: one handler's workers serve one queue. Required.
	Queue string
	// Target is the unit of fairness and concurrency within the queue: a
	// handler, a partner.
	Target string
	// Key is unique among the unfinished tasks of queue and target. Required.
	Key string
	// Group is the unit of order within queue and target. Empty: none.
	Group string
	// Hold makes the task wait behind the unfinished tasks of its group, in the
	// order of adding. It then is due at once, or at its own time where that is later.
	Hold bool
	// Payload is what the task is about. Only ReplaceTx changes it.
	Payload []byte
	// State is small, at most 256 KiB, and may change at each Settle.
	State []byte
	// Delay is the time from now until the task is due. Default: at once.
	Delay time.Duration
	// Due is when the task is due, in place of Delay. A time in the past is now.
	Due time.Time
	// Attempts is how many were made elsewhere.
	Attempts int
	// Error is why the last of them failed; it is cut at 4 KiB.
	Error string
}

// Task is a task as the table has it.
type Task struct {
	ID                        int64
	Queue, Target, Key, Group string
	Status                    Status
	Payload, State            []byte
	// Due is when the task is or was to run; a claim does not move it.
	Due                  time.Time
	CreatedAt, UpdatedAt time.Time
	// FinishedAt is zero for an unfinished task.
	FinishedAt time.Time
	Attempts   int
	// Fence is the number of the claim. It grows with each claim and settlement,
	// so a resource can refuse whoever comes with less than it has seen.
	Fence int64
	Error string
	// Leased says that a worker has the task, and its lease runs.
	Leased bool
}

// Outcome says what becomes of a claimed task.
type Outcome struct {
	// Status is a final one, or Waiting to run again after Delay.
	Status Status
	// Delay counts from the settlement; for Waiting only.
	Delay time.Duration
	// Attempts replaces the task's number: an attempt that does not count, such as one
	// that met an outage, leaves it as it was.
	Attempts int
	// State replaces the task's state; nil keeps it.
	State []byte
	// Error replaces the task's error; it is cut at 4 KiB. Empty: none.
	Error string
	// Spent says that the attempt was made to its end, whatever became of the
	// context: the outcome counts although the Worker is stopping.
	Spent bool
	// Settled says that the Handler has settled the task itself, with SettleTx: the
	// Worker leaves it, and all else that is said here has no meaning.
	Settled bool
	// Then runs in the transaction that settles the task, after the fence was checked:
	// what it writes is there if and only if the outcome is. It is called again where
	// that transaction lost a race, and must neither commit nor roll back. Its error
	// is a *ThenError of Settle; a Worker takes one that is no outage as it
	// takes a panic of the Handler. SettleTx, which has the caller's transaction,
	// refuses it.
	Then func(ctx context.Context, tx *sql.Tx) error
	// Tell is called by a Worker once the outcome is settled, as WorkerConfig.Settled
	// is and before that. Default: nobody is told.
	Tell func()
}

// ThenError is an error of Outcome.Then: nothing was settled.
type ThenError struct{ Err error }

func (e *ThenError) Error() string { return fmt.Sprintf("write with the settlement: %v", e.Err) }

// Unwrap returns what Then returned.
func (e *ThenError) Unwrap() error { return e.Err }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// normalize checks s, reporting all its problems, and returns it as it is stored.
func (s Spec) normalize() (Spec, error) {
	errs := names("Spec", s.Queue, s.Target)
	if s.Key == "" {
		errs = append(errs, invalid("Spec.Key: must not be empty"))
	}
	if s.Hold && s.Group == "" {
		errs = append(errs, invalid("Spec.Hold: needs a Group"))
	}
	if len(s.State) > MaxState {
		errs = append(errs, invalid("Spec.State: %d bytes, use at most %d", len(s.State), MaxState))
	}
	if s.Attempts < 0 {
		errs = append(errs, invalid("Spec.Attempts: %d, must not be negative", s.Attempts))
	}
	if s.Delay < 0 || s.Delay > maxDelay {
		errs = append(errs, invalid("Spec.Delay: %v, use 0 to 100 years", s.Delay))
	}
	if !s.Due.IsZero() {
		if s.Delay != 0 {
			errs = append(errs, invalid("Spec.Due: set together with Delay, use one of them"))
		}
		if year := s.Due.UTC().Year(); year < 1970 || year > 9999 {
			errs = append(errs, invalid("Spec.Due: year %d, use 1970 to 9999", year))
		}
	}
	s.Key, s.Group, s.Error = plain(s.Key), plain(s.Group), text.Short(s.Error, maxError)
	return s, errors.Join(errs...)
}

// when returns the time until the task is due, or else the time at which it is, in
// microseconds.
func (s Spec) when() (relative bool, micros int64) {
	if s.Due.IsZero() {
		return true, s.Delay.Microseconds()
	}
	return false, sqltable.Micros(s.Due)
}

// names checks queue and target.
func names(of, queue, target string) (errs []error) {
	if queue == "" || len(queue) > MaxQueue || !isPlain(queue) {
		errs = append(errs, invalid("%s.Queue: %d bytes, use 1 to %d of valid UTF-8 without NUL", of, len(queue), MaxQueue))
	}
	if len(target) > MaxTarget || !isPlain(target) {
		errs = append(errs, invalid("%s.Target: %d bytes, use up to %d of valid UTF-8 without NUL", of, len(target), MaxTarget))
	}
	return errs
}

func (o Outcome) normalize() (Outcome, error) {
	var errs []error
	if o.Status != Waiting && !o.Status.Finished() {
		errs = append(errs, invalid("Outcome.Status: %q, use waiting, done, dead, cancelled or expired", string(o.Status)))
	}
	if o.Delay < 0 || o.Delay > maxDelay {
		errs = append(errs, invalid("Outcome.Delay: %v, use 0 to 100 years", o.Delay))
	}
	if o.Status.Finished() && o.Delay != 0 {
		errs = append(errs, invalid("Outcome.Delay: %v for a task that is finished", o.Delay))
	}
	if o.Attempts < 0 {
		errs = append(errs, invalid("Outcome.Attempts: %d, must not be negative", o.Attempts))
	}
	if len(o.State) > MaxState {
		errs = append(errs, invalid("Outcome.State: %d bytes, use at most %d", len(o.State), MaxState))
	}
	o.Error = text.Short(o.Error, maxError)
	return o, errors.Join(errs...)
}

func isPlain(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// plain returns s as every database can hold it. What it returned stays as it is.
func plain(s string) string {
	if len(s) <= MaxKey && isPlain(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hash is one number for several strings, in which no two lists of strings meet.
func hash(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p))) //nolint:gosec // names of at most 255 bytes
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(p))
	}
	return h.Sum(nil)
}
