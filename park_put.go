package sluicegate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// toParked is the move of a record whose message is parked. It is kept until the
// message is handled or set aside, however long that takes.
var toParked = idemstore.Transition{
	From: []idemstore.State{idemstore.Absent, idemstore.Released, idemstore.Processing},
	To:   idemstore.Parked,
}

// putParked stores a message and moves its inbox record to parked, so that a
// duplicate does not run. In the sql strength both happen in one transaction.
// Elsewhere the task comes first: a crash in between lets a duplicate run, which
// the task then meets, and a record that cannot be moved, because the effect is there
// or another delivery is at work, is no reason not to store: the task finds out.
func (s *Stack) putParked(ctx context.Context, spec park.Spec) (stored bool, err error) {
	key := idemstore.Key{Handler: spec.Target, ID: spec.Key}
	if s.inbox != nil {
		stored, err = s.putInTx(ctx, key, spec)
		switch {
		case !errors.Is(err, idemstore.ErrConflict):
			return stored, err
		case noted(err):
			return false, nil
		}
		return s.table.Add(ctx, spec) //nolint:wrapcheck // by park
	}
	if stored, err = s.table.Add(ctx, spec); err != nil {
		return false, err //nolint:wrapcheck // by park
	}
	if err := s.cfg.Store.Transition(ctx, key, toParked); err != nil && !errors.Is(err, idemstore.ErrConflict) {
		s.cfg.Logger.Warn("message is parked, but its idempotency record could not be moved; a duplicate would be handled",
			"handler", spec.Target, "error", err)
	}
	return stored, nil
}

// noted reports whether the record says that its message is handled, or was set aside
// or parked by another delivery: this one is a duplicate. A task of it could be held
// for longer than the record is kept, or than the task that the record was parked for
// is there, and would then run.
func noted(err error) bool {
	var found *idemstore.StateError
	if !errors.As(err, &found) {
		return false
	}
	return found.State == idemstore.Done || found.State == idemstore.Dead || found.State == idemstore.Parked
}

// probeLease is how long the claim of decided keeps others waiting where it is not given
// back.
const probeLease = time.Second

// decided finds out whether a message that is to be held is a duplicate by claiming its
// record: a store of Config.Store tells its state in no other way.
func (s *Stack) decided(ctx context.Context, scope, id string) (bool, error) {
	key, token := idemstore.Key{Handler: scope, ID: id}, rand.Text()
	rec, err := s.cfg.Store.Claim(ctx, idemstore.Claim{Key: key, Token: token, Lease: probeLease, Retention: s.cfg.Retention})
	if err != nil {
		return false, fmt.Errorf("look at idempotency record: %w", err)
	}
	switch rec.Verdict {
	case idemstore.Won, idemstore.Takeover: // it is given back
	case idemstore.Finished:
		return true, nil
	default: // at work elsewhere: if it went on it could be next, before those that it waits for
		return false, nil
	}
	if err := s.cfg.Store.Release(ctx, key, token); err != nil && !errors.Is(err, idemstore.ErrLeaseLost) {
		return false, fmt.Errorf("give idempotency record back: %w", err)
	}
	return false, nil
}

// contended spreads those who race for one row.
var contended = backoff.Policy{Initial: 5 * time.Millisecond, Max: 100 * time.Millisecond, Multiplier: 2, Jitter: true}

const parkTries = 6

func (s *Stack) putInTx(ctx context.Context, key idemstore.Key, spec park.Spec) (stored bool, err error) {
	for n := 1; ; n++ {
		err = s.runner.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			if err := s.inbox.TransitionTx(ctx, tx, key, toParked); err != nil {
				return fmt.Errorf("move inbox record to parked: %w", err)
			}
			var err error
			stored, err = s.table.AddTx(ctx, tx, spec)
			return err //nolint:wrapcheck // by park
		})
		if err == nil || n == parkTries || !errors.Is(err, idemstore.ErrContended) && !errors.Is(err, schedule.ErrContended) {
			return stored, err //nolint:wrapcheck // by park
		}
		if backoff.Wait(ctx, contended.Delay(n)) != nil {
			return false, err //nolint:wrapcheck // by park
		}
	}
}
