package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const (
	ackDelay  = 2 * time.Millisecond // for acks to come together
	ackEnough = 256                  // acks that do not wait
	// idleOnReturn makes what was handed back older than any claim_idle.
	idleOnReturn = 24 * time.Hour
)

// holdings are the entries that belong to a member.
type holdings struct {
	mu    sync.Mutex
	held  map[string]struct{}
	acked []string // of held, not marked yet
	some  chan struct{}
	many  chan struct{}
}

func newHoldings() *holdings {
	return &holdings{held: map[string]struct{}{}, some: make(chan struct{}, 1), many: make(chan struct{}, 1)}
}

// add reports false for an entry that is held already.
func (h *holdings) add(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.held[id]; there {
		return false
	}
	h.held[id] = struct{}{}
	return true
}

func (h *holdings) ack(id string) {
	h.mu.Lock()
	h.acked = append(h.acked, id)
	n := len(h.acked)
	h.mu.Unlock()
	if n == 1 {
		signal(h.some)
	}
	if n == ackEnough {
		signal(h.many)
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// takeAcked returns the ids to be marked. They stay held until marked.
func (h *holdings) takeAcked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.acked
	h.acked = nil
	return ids
}

// putBack returns ids that could not be marked.
func (h *holdings) putBack(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = append(ids, h.acked...)
}

func (h *holdings) marked(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.held, id)
	}
}

func (h *holdings) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]string, 0, len(h.held))
	for id := range h.held {
		ids = append(ids, id)
	}
	return ids
}

// keep marks acks and renews claims until ctx ends. Where the claims could not
// be renewed for nine tenths of claim_idle, it ends ctx: another member may
// have them by then.
func (m *member) keep(ctx context.Context, cancel context.CancelCauseFunc, since time.Time) {
	valid := m.claimIdle * 9 / 10
	lapse := time.AfterFunc(time.Until(since.Add(valid)), func() { cancel(errLost) })
	defer lapse.Stop()
	beat := time.NewTimer(m.claimIdle / 3)
	defer beat.Stop()
	again := time.NewTimer(time.Hour) // after acks that could not be marked
	defer again.Stop()
	chores := time.NewTimer(backoff.Half(m.choreEvery()))
	defer chores.Stop()
	for ctx.Err() == nil {
		var err error
		select {
		case <-ctx.Done():
		case <-beat.C:
			start := time.Now()
			next := m.claimIdle / 3
			if err = m.beat(ctx); err == nil {
				lapse.Reset(time.Until(start.Add(valid)))
			} else {
				next = m.claimIdle / 20
			}
			beat.Reset(next)
		case <-again.C:
			signal(m.held.some)
		case <-m.held.some:
			m.gather(ctx)
			if err = m.flush(ctx); err != nil {
				again.Reset(reconnect.First)
			}
		case <-chores.C:
			m.chores(ctx)
			chores.Reset(backoff.Half(m.choreEvery()))
		}
		if err != nil && !failure.IsUnavailable(err) {
			cancel(err)
		}
	}
}

// gather waits for more acks to come.
func (m *member) gather(ctx context.Context) {
	timer := time.NewTimer(ackDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.held.many:
	case <-ctx.Done():
	}
}

// flush marks what was acked.
func (m *member) flush(ctx context.Context) error {
	ids := m.held.takeAcked()
	if len(ids) == 0 {
		return nil
	}
	if _, err := m.run(ctx, ackScript, ids, m.group, m.name); err != nil {
		m.held.putBack(ids)
		return fmt.Errorf("mark acked entries: %w", err)
	}
	m.held.marked(ids)
	return nil
}

// beat renews the claims. One that somebody else has got is an error: this
// member has been out of reach for too long, and its others may be gone as well.
func (m *member) beat(ctx context.Context) error {
	lease := int64(0)
	if m.ordered {
		lease = m.claimIdle.Milliseconds()
	}
	reply, err := m.run(ctx, beatScript, m.held.all(), m.group, m.name, lease)
	if err != nil {
		if strings.Contains(err.Error(), "LEASELOST") {
			return errLost
		}
		return fmt.Errorf("renew claims: %w", err)
	}
	if lost, _ := reply.([]any); len(lost) > 0 {
		return errLost
	}
	return nil
}

// leave marks the last acks and hands back the rest. What it cannot hand back
// is taken over after claim_idle.
func (m *member) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveGrace)
	defer cancel()
	err := m.flush(ctx)
	if err == nil {
		_, err = m.run(ctx, leaveScript, m.held.all(), m.group, m.name, idleOnReturn.Milliseconds())
	}
	if err != nil {
		m.logger.Debug("redis subscription could not hand back its messages", "err", err)
	}
}

// chores are what some member of the group does now and then. Nothing depends
// on them, so that a server that refuses them is only told about, once.
func (m *member) chores(ctx context.Context) {
	_, err := m.run(ctx, tidyScript, nil, m.group, max(10*m.claimIdle, 10*time.Minute).Milliseconds())
	if err == nil && m.retain > 0 {
		_, err = m.run(ctx, trimScript, nil, m.retain.Milliseconds())
	}
	if err != nil && !failure.IsUnavailable(err) && !m.complained {
		m.complained = true
		m.logger.Warn("redis refuses to remove dead members or acked entries", "err", err)
	}
}

func (m *member) choreEvery() time.Duration {
	if m.retain == 0 {
		return 10 * time.Minute
	}
	return min(max(m.retain/10, time.Second), time.Minute)
}

// run runs a script on the control line.
func (m *member) run(ctx context.Context, script string, ids []string, args ...any) (any, error) {
	all := append([]any{"eval", script, 2, m.topic, m.leaseKey}, args...)
	for _, id := range ids {
		all = append(all, id)
	}
	var reply any
	err := m.control.do(ctx, func(c *goredis.Client) (err error) {
		reply, err = c.Do(ctx, all...).Result()
		return err
	})
	return reply, err
}
