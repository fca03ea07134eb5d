package objectsync_test

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
)

// store is a memory whose calls are noted and can be broken.
type store struct {
	*memstore.Store
	// before is called before each call, outside of any lock.
	before func(ctx context.Context, op, key string) error
	db     *sql.DB

	mu    sync.Mutex
	calls []call
}

type call struct {
	op, key string
	at      time.Duration
}

func (s *store) call(ctx context.Context, op, key string) error {
	s.mu.Lock()
	s.calls = append(s.calls, call{op, key, sinceBegin()})
	before := s.before
	s.mu.Unlock()
	// The database has one connection: this waits for ever where the caller has a transaction open.
	if _, err := s.db.ExecContext(ctx, "SELECT 1"); err != nil {
		return err
	}
	if before == nil {
		return nil
	}
	return before(ctx, op, key)
}

func (s *store) breakWith(fn func(ctx context.Context, op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = fn
}

// of returns when an operation was called, on keys that end so.
func (s *store) of(op string) (out []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.op == op {
			out = append(out, c.at)
		}
	}
	return out
}

func (s *store) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	if err := s.call(ctx, "put", key); err != nil {
		return objectsync.Info{}, err
	}
	return s.Store.Put(context.WithoutCancel(ctx), key, b) // a late write arrives all the same
}

func (s *store) PutIf(ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
	if err := s.call(ctx, "put", key); err != nil {
		return objectsync.Info{}, err
	}
	return s.Store.PutIf(context.WithoutCancel(ctx), key, b, etag)
}

func (s *store) Stat(ctx context.Context, key string) (objectsync.Info, error) {
	if err := s.call(ctx, "stat", key); err != nil {
		return objectsync.Info{}, err
	}
	return s.Store.Stat(ctx, key)
}

func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.call(ctx, "delete", key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}

// plain hides that a store is conditional.
type plain struct{ objectsync.Store }

var begin struct {
	sync.Mutex
	at time.Time
}

func sinceBegin() time.Duration {
	begin.Lock()
	defer begin.Unlock()
	return time.Since(begin.at)
}
