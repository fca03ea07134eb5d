package sluicegate

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/parked"
)

// letGo has the inbox record of a message that expired while it was parked be forgotten
// after Config.Retention: it would stay parked for good. Nothing was done, so it is Released;
// whatever duplicate still comes is over as well. Where it cannot be moved now, the message
// is tried again.
func (s *Stack) letGo(ctx context.Context) error {
	d := delivery.From(ctx)
	if _, resumed := d.Resumed(); !resumed {
		return nil
	}
	t := idemstore.Transition{
		From: []idemstore.State{idemstore.Parked}, To: idemstore.Released, Retention: s.cfg.Retention,
	}
	if e := parked.From(ctx); e != nil {
		t.Epoch = e.Epoch
	}
	store := s.cfg.Store
	if s.inbox != nil {
		store = s.inbox
	}
	err := store.Transition(ctx, idemstore.Key{Handler: d.Scope(), ID: d.Key()}, t)
	if err == nil || errors.Is(err, idemstore.ErrConflict) { // its effect is there after all, or a redrive has it
		return nil
	}
	return failure.Unavailable(fmt.Errorf("move inbox record: %w", err))
}
