package objectsync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// ErrBusy says that another worker has the entity. It looks at the row again after
// the present run, so nothing is lost.
var ErrBusy = errors.New("another worker has the entity")

// Result is what became of one entity.
type Result struct {
	Entity, Key string
	// Status is Synced or Removed where all is well, Pending where it will be tried
	// again by the schedule, and Failed where it was given up.
	Status Status
	// Version of the object, or of the tombstone.
	Version int64
	// Tries that were made here; 0 where another worker did it.
	Tries int
	// Err is why it is not well. Nil for Synced and Removed.
	Err error
}

func (v *verdict) result(r *run) Result {
	out := Result{Entity: r.entity, Key: r.rec.Key, Status: v.status, Version: r.rec.Version, Tries: r.tries, Err: r.err}
	if r.err == nil {
		out.Version = r.blob.Version
		if v.again {
			out.Err = ErrMarked
		}
	}
	return out
}

// ErrMarked says that an entity was uploaded, and marked once more meanwhile: Run,
// or another Sync, uploads it again.
var ErrMarked = errors.New("entity was marked during its upload")

// Sync brings entities up to date now, without waiting for Run: it marks them in a
// transaction of its own, makes the immediate tries of each, and answers one Result for each,
// in the order of entities. What fails is left to the schedule and fails nobody
// else. An entity that another worker has is waited for, up to Config.Lease. The
// error is for what concerns all: a *KeyError, with nothing marked; a database that cannot be
// reached; the end of ctx, with the results so far.
func (s *Syncer) Sync(ctx context.Context, entities ...string) ([]Result, error) {
	if err := s.markNow(ctx, entities...); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	results := s.runAll(ctx, entities)
	if ctx.Err() != nil {
		return results, fmt.Errorf("sync: %w", context.Cause(ctx))
	}
	return results, nil
}

// runAll runs entities that are marked, Config.Concurrency at a time.
func (s *Syncer) runAll(ctx context.Context, entities []string) []Result {
	results := make([]Result, len(entities))
	s.each(len(entities), func(i int) { results[i] = s.runNow(ctx, entities[i]) })
	return results
}

// each calls fn for 0 to n-1, Config.Concurrency at a time, and waits for all.
func (s *Syncer) each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, s.cfg.Concurrency)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			fn(i)
		})
	}
	wg.Wait()
}

// runNow makes a run of an entity that is marked, or waits for who makes it.
func (s *Syncer) runNow(ctx context.Context, entity string) Result {
	failed := func(err error) Result { return Result{Entity: entity, Status: Pending, Err: err} }
	pause := backoff.Policy{Initial: 10 * time.Millisecond, Max: 500 * time.Millisecond, Multiplier: 2}
	waiting, cancel := context.WithTimeout(ctx, s.cfg.Lease)
	defer cancel()
	for n := 1; ; n++ {
		t, err := s.schedule.ClaimKey(waiting, Queue, s.cfg.Name, entity, s.cfg.Lease)
		switch {
		case err == nil:
			return s.own(ctx, t)
		case errors.Is(err, schedule.ErrNotFound), errors.Is(err, schedule.ErrFinished): // it was done meanwhile
			return s.found(ctx, entity)
		case ctx.Err() != nil:
			return failed(context.Cause(ctx))
		}
		taken := errors.Is(err, schedule.ErrLeased) || errors.Is(err, schedule.ErrStale) || errors.Is(err, schedule.ErrContended)
		if !taken {
			return failed(err)
		}
		if backoff.Wait(waiting, pause.Delay(n)) != nil {
			if ctx.Err() != nil {
				return failed(context.Cause(ctx))
			}
			return failed(ErrBusy)
		}
	}
}

// own works a task that was claimed here. Its lease is not renewed: Config.Lease has room
// for a whole run, and ends it here where the process was frozen.
func (s *Syncer) own(ctx context.Context, t schedule.Task) Result {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Lease)
	defer cancel()
	return s.process(ctx, t)
}

// found tells of an entity by its record.
func (s *Syncer) found(ctx context.Context, entity string) Result {
	rec, err := s.table.get(ctx, entity)
	if err != nil {
		return Result{Entity: entity, Status: Pending, Err: err}
	}
	res := Result{Entity: entity, Key: rec.Key, Status: rec.Status, Version: rec.Version}
	if rec.Status == Failed || rec.Status == Pending {
		res.Err = ErrBusy
		if rec.Error != "" {
			res.Err = errors.New(rec.Error)
		}
	}
	return res
}
