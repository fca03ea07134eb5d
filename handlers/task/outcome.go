package task

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Func works a task and says what becomes of it. No transaction is open while it runs,
// so it may take its time: up to Config.Timeout, after which its context ends.
// That also ends, with the cause ErrLost, where another process has taken the task, and
// where Run is to stop. It runs beside others. A panic counts as Failed.
type Func func(ctx context.Context, t Task) Outcome

// Outcome says what becomes of a task. The zero Outcome says nothing, which is taken
// as a failed attempt.
type Outcome struct {
	kind  kind
	err   error
	delay time.Duration
	state []byte
	and   func(ctx context.Context, tx *sql.Tx) error
}

type kind int

const (
	none kind = iota
	succeeded
	failed
	later
	withdrawn
)

var errNoOutcome = errors.New("the function returned no outcome")

// Succeeded says that the task is done.
func Succeeded() Outcome { return Outcome{kind: succeeded} }

// Failed says that the attempt came to nothing, or that it could not be made: the
// error tells what becomes of the task, as the package comment says. The error's text is
// kept with the task, up to 4 KiB, so it must hold no secret. A nil err is a mistake,
// and an attempt.
func Failed(err error) Outcome {
	if err == nil {
		err = errNoOutcome
	}
	return Outcome{kind: failed, err: err}
}

// Later says that there was nothing to do yet: the function is called again after d,
// at most 100 years, and no attempt is spent. Config.MaxAge does not end the task.
func Later(d time.Duration) Outcome { return Outcome{kind: later, delay: max(d, 0)} }

// Withdrawn says that the task is not wanted any more, and why. It is kept as Cancelled.
func Withdrawn(reason string) Outcome {
	return Outcome{kind: withdrawn, err: errors.New(reason)}
}

// Keep has the task hold state from now on.
func (o Outcome) Keep(state []byte) Outcome {
	o.state = state
	return o
}

// And has fn run in the transaction that settles the task, after the fence was checked:
// what it writes through tx is there if and only if the outcome is. It is called again
// where that transaction lost a race or the database was away, and must neither commit
// nor roll back. An error of it counts as a failure of the attempt. An attempt that was cut off,
// because Run is to stop, is not settled, and fn not called, unless it Succeeded
// or was Withdrawn.
func (o Outcome) And(fn func(ctx context.Context, tx *sql.Tx) error) Outcome {
	o.and = fn
	return o
}
