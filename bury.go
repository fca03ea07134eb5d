package sluicegate

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// buryBy returns a store that also moves the message's inbox record to dead.
// Where letters and inbox are tables of one database, both happen in one
// transaction. Elsewhere the letter is stored first: a crash in between stores
// it again, but loses nothing.
func (s *Stack) buryBy(letters deadletter.Store) deadletter.Store {
	table, ok := letters.(*deadletter.SQLStore)
	if ok && s.inbox != nil && s.cfg.DeadLetters == nil {
		return storeFunc(func(ctx context.Context, l deadletter.Letter) error {
			return s.runner.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
				if err := table.PutTx(ctx, tx, l); err != nil {
					return err
				}
				return s.bury(ctx, l, func(k idemstore.Key, t idemstore.Transition) error {
					return s.inbox.TransitionTx(ctx, tx, k, t)
				})
			})
		})
	}
	return storeFunc(func(ctx context.Context, l deadletter.Letter) error {
		if err := letters.Put(ctx, l); err != nil {
			return err
		}
		return s.bury(ctx, l, func(k idemstore.Key, t idemstore.Transition) error {
			if s.inbox != nil {
				return s.inbox.Transition(ctx, k, t)
			}
			return s.cfg.Store.Transition(ctx, k, t)
		})
	})
}

// bury moves the record of a letter. That of a message that was parked is parked,
// or was until a redrive took it into another epoch; for any other message, a parked
// record is that of another one.
func (s *Stack) bury(ctx context.Context, l deadletter.Letter, transition func(idemstore.Key, idemstore.Transition) error) error {
	if l.Key == "" {
		return nil // it failed before it had a key: there is no record
	}
	t := idemstore.Transition{
		From:      []idemstore.State{idemstore.Absent, idemstore.Released, idemstore.Processing},
		To:        idemstore.Dead,
		Retention: s.cfg.Retention,
	}
	if _, resumed := delivery.From(ctx).Resumed(); resumed {
		t.From = append(t.From, idemstore.Parked)
	}
	if e := parked.From(ctx); e != nil {
		t.Epoch = e.Epoch
	}
	err := transition(idemstore.Key{Handler: l.Scope(), ID: l.Key}, t)
	switch {
	case errors.Is(err, idemstore.ErrConflict):
		// Its effect is there after all, or another delivery is at work: that
		// one decides about the record.
		return nil
	case err != nil:
		return fmt.Errorf("move inbox record to dead: %w", err)
	}
	return nil
}

// Desk returns the desk at which people decide about the dead letters: a redrive
// has the message given to the one handler that failed, in this Stack or in another
// process that has it. It needs the letters in the Stack's database, and Config.Park.
func (s *Stack) Desk() (*deadletter.Desk, error) {
	switch {
	case s.stored == nil:
		return nil, errors.New("desk: the dead letters are not in a table")
	case s.table == nil:
		return nil, errors.New("desk: nothing is parked, so nothing can be redriven: Config.Park is off, or there is no database")
	}
	cfg := deadletter.DeskConfig{Retention: s.cfg.Retention, Key: s.cfg.Key}
	if s.inbox != nil {
		cfg.Inbox = s.inbox
	} else {
		cfg.Records = s.cfg.Store
	}
	return deadletter.NewDesk(s.stored, s.table, cfg) //nolint:wrapcheck // it says what it is
}

type storeFunc func(context.Context, deadletter.Letter) error

func (f storeFunc) Put(ctx context.Context, l deadletter.Letter) error { return f(ctx, l) }
