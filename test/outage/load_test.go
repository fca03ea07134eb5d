package outage_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// writers is how many commit side by side; the keys of each are its own, so that it
// serialises on them.
const (
	writers    = 4
	keysOfEach = 250
)

// writing is a load that goes on until it is stopped.
type writing struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	committed int
}

// load begins to commit loadRate messages a second.
func (p place) load(t *testing.T) *writing {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writing{cancel: cancel}
	for i := range writers {
		w.wg.Go(func() {
			tick := time.NewTicker(writers * time.Second / loadRate)
			defer tick.Stop()
			for n := 1; ; n++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				key := fmt.Sprintf("customer-%d-%d", i, n%keysOfEach)
				if err := p.place(key, n/keysOfEach+1); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				w.mu.Lock()
				w.committed++
				w.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { w.stop() })
	return w
}

// place commits message number of key.
func (p place) place(key string, number int) (err error) {
	ctx := context.Background()
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if err := p.publish(ctx, tx, key, number); err != nil {
		return err
	}
	return tx.Commit()
}

func (p place) publish(ctx context.Context, tx *sql.Tx, key string, number int) error {
	msg := message.NewMessage(watermill.NewUUID(), fmt.Appendf(nil, "%s %d", key, number))
	msg.Metadata.Set("sluicegate_key", key)
	return p.box.Publish(ctx, tx, topic, msg)
}

// during lets the load go on for d.
func (w *writing) during(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// stop ends the load and returns how many messages were committed.
func (w *writing) stop() int {
	w.cancel()
	w.wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}
