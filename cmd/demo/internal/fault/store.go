package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

var (
	errStoreAway = errors.New("injected: the object store cannot be reached")
	errUpload    = errors.New("injected: the upload fails")
	errWritten   = errors.New("injected: the upload is done, and its confirmation was lost")
)

// Store is a broken way to an object store: it is away now and then, refuses what is
// written, or takes it and says that it has failed. It is safe for concurrent use.
type Store struct {
	objectsync.Store

	mu     sync.Mutex
	random *rand.Rand
	puts   int
	failed int
}

// NewStore breaks the way to s.
func NewStore(s objectsync.Store, plan Plan) *Store {
	return &Store{Store: s, random: rand.New(rand.NewPCG(plan.seed, 101))}
}

// Counts are how many uploads were begun, and how many of these failed.
func (s *Store) Counts() (puts, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts, s.failed
}

// draw says what becomes of an upload: the first one fails.
func (s *Store) draw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	var err error
	switch n := s.random.IntN(100); {
	case n < 25 || s.puts == 1:
		err = errUpload
	case n < 40:
		err = errWritten
	case n < 45:
		err = objectsync.Unavailable(errStoreAway)
	}
	if err != nil {
		s.failed++
	}
	return err
}

// Put writes an object, or fails.
func (s *Store) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	err := s.draw()
	if err != nil && !errors.Is(err, errWritten) {
		return objectsync.Info{}, err
	}
	info, putErr := s.Store.Put(ctx, key, b)
	if err = errors.Join(err, putErr); err != nil {
		return objectsync.Info{}, err
	}
	return info, nil
}
