// Package memstore keeps objects in memory, for tests and examples.
package memstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// Store is an objectsync.Store and objectsync.Conditional in memory. It is safe for
// concurrent use, and what it holds ends with the process. Its ETags are the hashes of
// the bytes.
type Store struct {
	mu      sync.Mutex
	objects map[string]object
}

type object struct {
	blob objectsync.Blob
	at   time.Time
}

// New returns an empty store.
func New() *Store { return &Store{objects: map[string]object{}} }

// Put implements objectsync.Store. It keeps a copy.
func (s *Store) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	return s.put(ctx, key, b, func(object, bool) bool { return true })
}

// PutIf implements objectsync.Conditional.
func (s *Store) PutIf(ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
	return s.put(ctx, key, b, func(old object, found bool) bool {
		if !found {
			return etag == ""
		}
		return etag == tag(old)
	})
}

func (s *Store) put(ctx context.Context, key string, b objectsync.Blob, may func(old object, found bool) bool) (objectsync.Info, error) {
	if err := check(ctx, key); err != nil {
		return objectsync.Info{}, err
	}
	b.Body = bytes.Clone(b.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.objects[key]
	if !may(old, found) {
		return objectsync.Info{}, objectsync.ErrChanged
	}
	o := object{b, time.Now()}
	s.objects[key] = o
	return o.info(key), nil
}

// Get implements objectsync.Store.
func (s *Store) Get(ctx context.Context, key string) (objectsync.Blob, objectsync.Info, error) {
	o, err := s.get(ctx, key)
	if err != nil {
		return objectsync.Blob{}, objectsync.Info{}, err
	}
	b := o.blob
	b.Body = bytes.Clone(b.Body)
	return b, o.info(key), nil
}

// Stat implements objectsync.Store.
func (s *Store) Stat(ctx context.Context, key string) (objectsync.Info, error) {
	o, err := s.get(ctx, key)
	if err != nil {
		return objectsync.Info{}, err
	}
	return o.info(key), nil
}

func (s *Store) get(ctx context.Context, key string) (object, error) {
	if err := check(ctx, key); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, found := s.objects[key]
	if !found {
		return object{}, objectsync.ErrNotFound
	}
	return o, nil
}

// Delete implements objectsync.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// List implements objectsync.Store. It sorts all keys for each page.
func (s *Store) List(ctx context.Context, r objectsync.ListRequest) (objectsync.Page, error) {
	if err := ctx.Err(); err != nil {
		return objectsync.Page{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var p objectsync.Page
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if key <= r.After || !strings.HasPrefix(key, r.Prefix) {
			continue
		}
		if len(p.Items) == r.Limit {
			p.More = true
			break
		}
		p.Items = append(p.Items, s.objects[key].info(key))
	}
	return p, nil
}

func check(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return objectsync.CheckKey(key) //nolint:wrapcheck // it says what it is
}

func tag(o object) string { return objectsync.Hash(o.blob.Body) }

func (o object) info(key string) objectsync.Info {
	return objectsync.Info{
		Key: key, Size: int64(len(o.blob.Body)), ETag: tag(o), Modified: o.at, Version: o.blob.Version, Hash: o.blob.Hash,
	}
}
