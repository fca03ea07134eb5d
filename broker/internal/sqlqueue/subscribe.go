package sqlqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/lease"
)

const (
	// registerWait bounds what Subscribe does before it returns.
	registerWait = 3 * time.Second
	// leaveWait bounds each of the last acts of a subscription: to delete what
	// was acked, and to give the shards back.
	leaveWait = 3 * time.Second
)

// reconnect is the wait between attempts to reach a database that is away.
var reconnect = redelivery.Backoff{First: 250 * time.Millisecond, Max: 5 * time.Second}

// Subscribe makes the group exist, so that nothing published from now on passes
// it by, and joins it in the background. A database that is away is waited for.
func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	registerCtx, cancel := context.WithTimeout(ctx, registerWait)
	defer cancel()
	_, _, err := d.store.register(registerCtx, topic, group)
	if failure.IsPermanent(err) {
		return nil, err
	}
	s := &subscription{
		driver: d, topic: topic, group: group,
		out:     make(chan *message.Message),
		mid:     make(chan *message.Message),
		health:  health{logger: d.logger.With("topic", topic, "group", group)},
		claims:  map[int]*claim{},
		byMsg:   map[*message.Message]*item{},
		room:    make(chan struct{}, 1),
		kick:    make(chan struct{}, 1),
		toFlush: make(chan struct{}, 1),
	}
	s.health.report("registering", err)
	go func() {
		defer close(s.out)
		s.run(ctx)
	}()
	return s.out, nil
}

// subscription is one member of a group.
type subscription struct {
	*driver
	topic, group     string
	topicID, groupID int64
	out              chan *message.Message // to the consumer
	mid              chan *message.Message // from the dispatcher to the gate
	dispatcher       *dispatch.Dispatcher[*item]
	leases           *lease.Group
	health           health

	room    chan struct{} // items are gone: there may be room for more, or keys to read again
	kick    chan struct{} // wakes the manager
	toFlush chan struct{} // wakes the committer

	mu     sync.Mutex
	claims map[int]*claim // open or closing, by shard
	byMsg  map[*message.Message]*item
	held   int     // items in memory that are not deleted, those of dead claims among them
	bytes  int     // their content
	acked  []*item // to be deleted
	gone   []*item // deleted since the last read began
}

// run works until ctx ends.
func (s *subscription) run(ctx context.Context) {
	if !s.prepare(ctx) {
		return
	}
	s.dispatcher = dispatch.New(ctx, s.mid, dispatch.Handlers[*item]{
		Key: func(i *item) string { return i.key }, Message: s.attempt, Acked: s.answered,
	}, dispatch.Config{Concurrency: s.concurrency, Queue: s.hardLimit() + shards, Backoff: s.backoff})

	// The manager goes on renewing, and the committer deleting, until what was
	// acked before the end is deleted.
	last, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := make(chan struct{})
	var workers, keepers sync.WaitGroup
	keepers.Go(func() { s.manage(last) })
	var committer sync.WaitGroup
	committer.Go(func() { s.commitLoop(last, stop) })
	workers.Go(func() { s.readLoop(ctx) })
	workers.Go(func() { s.pass(ctx) })
	workers.Go(func() { s.tidyLoop(ctx) })
	workers.Wait()
	s.dispatcher.Close()
	close(stop)
	committer.Wait()
	end()
	keepers.Wait()
	s.leave(ctx)
}

// prepare registers the group and hands its backlog over.
func (s *subscription) prepare(ctx context.Context) bool {
	for failures := 0; ctx.Err() == nil; {
		done, err := s.begin(ctx)
		if ctx.Err() != nil {
			return false
		}
		s.health.report("registering", err)
		switch {
		case err != nil:
			failures++
			_ = backoff.Wait(ctx, reconnect.Delay(failures))
		case done:
			return s.joinGroup()
		}
	}
	return false
}

func (s *subscription) begin(ctx context.Context) (done bool, err error) {
	if s.groupID == 0 {
		if s.topicID, s.groupID, err = s.store.register(ctx, s.topic, s.group); err != nil {
			s.groupID = 0
			return false, err
		}
	}
	return s.store.fill(ctx, s.topicID, s.groupID)
}

func (s *subscription) joinGroup() bool {
	var err error
	s.leases, err = lease.New(lease.Config{
		DB: s.store.db, Dialect: s.store.dialect, Table: s.store.tables.lease,
		Group: leaseGroup(s.groupID), Owner: uuid.NewString(), Parts: shards, TTL: s.lease,
	})
	s.health.report("joining", err)
	return err == nil
}

// leave gives the shards back, so that others need not wait for the lease to end.
func (s *subscription) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait)
	defer cancel()
	if err := s.leases.Close(s.store.unbroken(ctx)); err != nil {
		s.health.logger.Warn("queue subscription could not give its shards back; others take them when the lease ends", "err", err)
		return
	}
	s.hub.signal(s.lobby(), nil)
}

// health logs when something begins to fail and when it is well again, not each
// time in between.
type health struct {
	logger *slog.Logger
	mu     sync.Mutex
	failed map[string]time.Time
}

func (h *health) report(what string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, was := h.failed[what]
	switch {
	case err != nil && !was:
		if h.failed == nil {
			h.failed = map[string]time.Time{}
		}
		h.failed[what] = time.Now()
		h.logger.Warn("queue subscription interrupted, will go on", "what", what, "err", err)
	case err == nil && was:
		delete(h.failed, what)
		h.logger.Info("queue subscription goes on", "what", what, "after", time.Since(since).Round(time.Millisecond))
	}
}
