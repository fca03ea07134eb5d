package sqlqueue

import (
	"database/sql"
	"fmt"
	"sync"
)

// hub is what the users of one database in this process share: the pool, which
// for SQLite must be one, and the signals that save a wait for the next poll.
type hub struct {
	identity string
	db       *sql.DB
	users    int // under hubsMu

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

// The hubs of this process. One lives as long as somebody uses it.
var (
	hubsMu sync.Mutex
	hubs   = map[string]*hub{}
)

func join(db Database) (*hub, error) {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	h := hubs[db.Identity]
	if h == nil {
		pool, err := db.Open()
		if err != nil {
			return nil, err
		}
		h = &hub{identity: db.Identity, db: pool, waiting: map[string]map[chan struct{}]struct{}{}}
		hubs[h.identity] = h
	}
	h.users++
	return h, nil
}

func (h *hub) leave() error {
	hubsMu.Lock()
	defer hubsMu.Unlock()
	if h.users--; h.users > 0 {
		return nil
	}
	delete(hubs, h.identity)
	if err := h.db.Close(); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// await returns a channel that receives when topic is signalled, until stop.
func (h *hub) await(topic string) (wake chan struct{}, stop func()) {
	wake = make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting[topic] == nil {
		h.waiting[topic] = map[chan struct{}]struct{}{}
	}
	h.waiting[topic][wake] = struct{}{}
	return wake, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting[topic], wake)
		if len(h.waiting[topic]) == 0 {
			delete(h.waiting, topic)
		}
	}
}

// signal wakes those who wait, but for one, without waiting for them.
func (h *hub) signal(topic string, but chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for wake := range h.waiting[topic] {
		if wake != but {
			poke(wake)
		}
	}
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
