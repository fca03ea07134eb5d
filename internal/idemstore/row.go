package idemstore

import (
	"fmt"
	"slices"
	"time"
)

// Row is a record as a driver keeps it, with times in microseconds since the
// Unix epoch. Its methods are the rules of the state machine, without a store:
// each takes the row that is there and returns the one to write. A driver that
// reads, asks the row and writes back must do so atomically.
type Row struct {
	State       State
	Token       string // of the owner while Processing, of the last one when Done
	Attempt     int64
	Epoch       int64
	Fingerprint string
	Result      []byte
	LeaseUntil  int64
	ExpiresAt   int64 // 0: never
}

// Live returns r, or the absent row where r's time is over.
func (r Row) Live(now int64) Row {
	if r.ExpiresAt != 0 && r.ExpiresAt <= now {
		return Row{}
	}
	return r
}

// Claim applies a normalized claim. The row is to be written for Won, Takeover
// and Mine.
func (r Row) Claim(c Claim, now int64) (Row, Record) {
	r = r.Live(now)
	if r.Fingerprint != "" && c.Fingerprint != "" && r.Fingerprint != c.Fingerprint {
		return r, r.record(Mismatch)
	}
	verdict := Won
	old := r
	switch {
	case r.State == Done, r.State == Dead, !c.Resume && (r.State == Parked || r.State == Resumed):
		return r, r.record(Finished)
	case r.State == Processing, r.State == Resumed:
		switch {
		case r.Token == c.Token:
			verdict = Mine
		case r.LeaseUntil > now:
			rec := r.record(Busy)
			rec.RetryIn = time.Duration(r.LeaseUntil-now) * time.Microsecond
			return r, rec
		default:
			verdict = Takeover
		}
	default: // absent, released, or parked and to be resumed
	}
	if verdict != Mine {
		r.Attempt = max(r.Attempt+1, c.Attempt)
	}
	r.State, r.Token, r.Result = Processing, c.Token, nil
	if c.Fingerprint != "" {
		r.Fingerprint = c.Fingerprint
	}
	r.LeaseUntil = now + c.Lease.Microseconds()
	r.ExpiresAt = r.LeaseUntil + c.Retention.Microseconds()
	if c.Resume {
		r.State = Resumed
		if old.State != Absent && old.ExpiresAt == 0 {
			r.ExpiresAt = r.LeaseUntil + Ages.Microseconds()
		}
		r.ExpiresAt = max(r.ExpiresAt, old.ExpiresAt)
	}
	return r, r.record(verdict)
}

// Ages is how long a record is kept that was parked for good and has been
// resumed since: a lease needs an end to count from.
const Ages = 100 * 365 * 24 * time.Hour

func (r Row) record(v Verdict) Record {
	rec := Record{Verdict: v, State: r.State, Attempt: r.Attempt, Epoch: r.Epoch}
	if r.State == Resumed {
		rec.State = Processing
		if v == Finished {
			rec.State = Parked
		}
	}
	if v == Finished && r.State == Done {
		rec.Result = slices.Clone(r.Result)
	}
	return rec
}

func (r Row) owned(token string) bool {
	return (r.State == Processing || r.State == Resumed) && r.Token == token && token != ""
}

// Extend lengthens the lease, and the record's life by as much.
func (r Row) Extend(token string, lease time.Duration, now int64) (Row, error) {
	if r = r.Live(now); !r.owned(token) {
		return r, ErrLeaseLost
	}
	if until := now + lease.Microseconds(); until > r.LeaseUntil {
		r.ExpiresAt += until - r.LeaseUntil
		r.LeaseUntil = until
	}
	return r, nil
}

// Complete marks the row done. A row that the token has completed before is
// returned as it is.
func (r Row) Complete(token string, result []byte, retention time.Duration, now int64) (Row, error) {
	r = r.Live(now)
	if r.State == Done && r.Token == token && token != "" {
		return r, nil
	}
	if !r.owned(token) {
		return r, ErrLeaseLost
	}
	r.State, r.Result, r.LeaseUntil = Done, slices.Clone(result), 0
	r.ExpiresAt = now + retention.Microseconds()
	return r, nil
}

// Release gives the row up, or parks it again.
func (r Row) Release(token string, now int64) (Row, error) {
	if r = r.Live(now); !r.owned(token) {
		return r, ErrLeaseLost
	}
	state := Released
	if r.State == Resumed {
		state = Parked
	}
	r.State, r.Token, r.LeaseUntil = state, "", 0
	return r, nil
}

// Transition applies a valid transition.
func (r Row) Transition(t Transition, now int64) (Row, error) {
	r = r.Live(now)
	switch {
	case !r.among(t.From):
		return r, &StateError{State: r.State}
	case r.LeaseUntil > now && (r.State == Processing || r.State == Resumed):
		return r, fmt.Errorf("%w: it is processing and its lease has not ended", ErrConflict)
	case r.Epoch != t.Epoch:
		return r, fmt.Errorf("%w: it is in epoch %d, not %d", ErrConflict, r.Epoch, t.Epoch)
	}
	r.State, r.Token, r.Result, r.LeaseUntil, r.ExpiresAt = t.To, "", nil, 0, 0
	if t.NextEpoch {
		r.Epoch++
	}
	if t.Retention > 0 {
		r.ExpiresAt = now + t.Retention.Microseconds()
	}
	return r, nil
}

func (r Row) among(states []State) bool {
	if r.State == Resumed {
		return slices.Contains(states, Processing) || slices.Contains(states, Parked)
	}
	return slices.Contains(states, r.State)
}

func describe(s State) string {
	if s == Absent {
		return "absent"
	}
	return string(s)
}
