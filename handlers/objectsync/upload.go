package objectsync

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/outage"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// ErrOlder says that the row that was read has a lower version than the object, or
// than what was recorded of it. Nothing was written.
var ErrOlder = errors.New("row is older than its object")

// run is what became of the tries of one run.
type run struct {
	entity string
	rec    Record // as it was before the row was read
	status Status // Synced or Removed; empty after an error
	blob   Blob
	etag   string
	tries  int
	// touched says that the store was asked to change the object, whatever came of it.
	touched bool
	// unsure says that a write before the last one got no answer that counts, here or in a run that
	// was not settled: it may still arrive.
	unsure bool
	err    error
}

// try tries up to Config.Tries times. The row is read anew each time.
func (s *Syncer) try(ctx context.Context, entity string) run {
	r := run{entity: entity}
	for {
		r.tries++
		r.err = s.once(ctx, &r)
		if r.err == nil || ctx.Err() != nil || failure.IsPermanent(r.err) || r.tries >= s.cfg.Tries {
			return r
		}
		if backoff.Wait(ctx, time.Duration(r.tries)*s.cfg.TryWait) != nil {
			return r
		}
	}
}

// once brings the object to the state of the row.
func (s *Syncer) once(ctx context.Context, r *run) (err error) {
	// Before the row: a mark that comes after this has another count.
	if r.rec, err = s.table.get(ctx, r.entity); err != nil {
		return err
	}
	o, b, err := s.load(ctx, r.entity)
	if err != nil {
		return err
	}
	if !r.rec.override && b.Version > 0 && b.Version < r.rec.Version {
		return fmt.Errorf("%w: it has version %d, and %d was uploaded", ErrOlder, b.Version, r.rec.Version)
	}
	var there Info
	err = s.within(ctx, func(ctx context.Context) (err error) {
		there, err = s.store.Stat(ctx, r.rec.Key)
		return err
	})
	found := !errors.Is(err, ErrNotFound)
	if found && err != nil {
		return fmt.Errorf("look at object: %w", err)
	}
	if !r.rec.override && found && b.Version > 0 && b.Version < there.Version {
		return fmt.Errorf("%w: it has version %d, and %d is in the store", ErrOlder, b.Version, there.Version)
	}
	if o.Deleted {
		return s.remove(ctx, r, b, found)
	}
	return s.put(ctx, r, b, there, found)
}

// put writes the object unless it is there.
func (s *Syncer) put(ctx context.Context, r *run, b Blob, there Info, found bool) error {
	same := found && !r.rec.override && r.rec.ETag == there.ETag && r.rec.Hash == b.Hash && r.rec.Version == b.Version &&
		(there.Hash == "" || there.Hash == b.Hash)
	if !same {
		r.touched = true
		err := s.within(ctx, func(ctx context.Context) (err error) {
			if c, ok := s.store.(Conditional); ok {
				expected := there.ETag // empty: none is there
				there, err = c.PutIf(ctx, r.rec.Key, b, expected)
				return err
			}
			there, err = s.store.Put(ctx, r.rec.Key, b)
			return err
		})
		if err != nil {
			r.unsure = r.unsure || !errors.Is(err, ErrChanged)
			return fmt.Errorf("write object: %w", err)
		}
	}
	r.status, r.blob, r.etag = Synced, b, there.ETag
	return nil
}

// remove takes the object away, and leaves the version for the tombstone.
func (s *Syncer) remove(ctx context.Context, r *run, b Blob, found bool) error {
	if found {
		r.touched = true
		err := s.within(ctx, func(ctx context.Context) error { return s.store.Delete(ctx, r.rec.Key) })
		if err != nil {
			r.unsure = true
			return fmt.Errorf("remove object: %w", err)
		}
	}
	if b.Version == 0 {
		b.Version = r.rec.Version
	}
	r.status, r.blob, r.etag = Removed, Blob{Version: b.Version}, ""
	return nil
}

// load reads the row. A panic in Config.Load, or in what encodes its value, is an error.
func (s *Syncer) load(ctx context.Context, entity string) (o Object, b Blob, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("Config.Load panicked", "entity", entity, "stack", string(debug.Stack()))
			err = fmt.Errorf("load row: panic: %T", p)
		}
	}()
	err = s.within(ctx, func(ctx context.Context) (err error) {
		o, err = s.cfg.Load(ctx, s.db, entity)
		return err
	})
	if err != nil {
		return Object{}, Blob{}, fmt.Errorf("load row: %w", err)
	}
	if b, err = o.blob(s.cfg.MaxSize); err != nil {
		return Object{}, Blob{}, fmt.Errorf("load row: %w", err)
	}
	return o, b, nil
}

// within bounds one call by Config.Timeout.
func (s *Syncer) within(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	return fn(ctx)
}

// away reports whether err says that the store or the database could not be reached,
// or that others were quicker there: no attempt was made.
func away(err error) bool { return outage.Is(err) || errors.Is(err, sqltable.ErrContended) }
