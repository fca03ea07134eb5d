package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// ErrRunning says that Relay.Run was called while it was running.
var ErrRunning = errors.New("relay is running already")

// Relay carries committed messages to a broker.
//
// It is safe for concurrent use. It publishes from several goroutines at once.
// A publisher that implements batches gets them, with all topics mixed;
// any other gets one message of a key at a time, RelayConfig.Concurrency keys
// at once.
type Relay struct {
	outbox *Outbox
	pub    message.Publisher
	cfg    RelayConfig
	group  *lease.Group
	health health
	stats  counters

	running   atomic.Bool
	listening atomic.Bool    // signals are heard
	active    atomic.Int64   // when a lane last found something, in nanoseconds since the epoch
	glanced   atomic.Int64   // when a lane last looked for all of them, likewise
	lanes     []*lane        // made by Run
	kick      chan struct{}  // wakes the manager
	calls     sync.WaitGroup // goroutines that call the publisher
}

// RelayStats are the figures of one relay since it was made.
type RelayStats struct {
	Delivered int64 // messages acknowledged by the broker and settled
	Failed    int64 // messages set aside
	Parked    int64 // times that a message left the outbox to be tried again later
	Expired   int64 // messages that were over before they were published
	Moved     int64 // messages, delayed or parked, that entered the outbox because their time had come
	Retried   int64 // attempts that a reachable broker refused
	Stale     int64 // messages not settled because the shard had another owner
	Late      int64 // messages that only the sweep found
	Rereads   int64 // times a shard was read from the start because a transaction from before its floor had ended (PostgreSQL)
	Rounds    int64 // reads of the table
	Stretches int64 // of these, the ones that went through a part of the backlog in one go rather than shard by shard
	Shards    int   // shards owned now, of 32

	// BrokerAwaySince and DatabaseAwaySince are zero while they can be reached.
	BrokerAwaySince, DatabaseAwaySince time.Time
}

// NewRelay returns a relay to pub, which stays the caller's to close.
func (o *Outbox) NewRelay(pub message.Publisher, cfg RelayConfig) (*Relay, error) {
	if pub == nil {
		return nil, errors.New("new relay: pub: a publisher is needed, got nil")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg = cfg.suited(o.cfg.Dialect)
	group, err := lease.New(lease.Config{
		DB: o.db, Dialect: o.cfg.Dialect, Table: o.names.Table(o.cfg.Dialect, schema.Lease),
		Group: "relay", Owner: newUUID(), Parts: shards, TTL: cfg.Lease, Offset: cfg.ClockOffset,
	})
	if err != nil {
		return nil, fmt.Errorf("new relay: %w", err)
	}
	return &Relay{
		outbox: o, pub: pub, cfg: cfg, group: group,
		health: health{log: o.cfg.Logger}, kick: make(chan struct{}, 1),
	}, nil
}

// Relay runs a relay to pub, configured by Config.Relay, until ctx ends. See
// Relay.Run.
func (o *Outbox) Relay(ctx context.Context, pub message.Publisher) error {
	r, err := o.NewRelay(pub, o.cfg.Relay)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// Run relays until ctx ends, then lets the batch under way finish within
// RelayConfig.StopTimeout, settles what was acknowledged, gives the shards back
// and returns nil. Neither a broker nor a database that is away ends it. The
// only errors are ErrRunning and, before anything runs, a schema that lacks
// migrations. A Publish call that does not return within StopTimeout is left
// behind.
func (r *Relay) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer r.running.Store(false)
	if err := r.ready(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	var lanes, others sync.WaitGroup
	r.lanes = make([]*lane, r.cfg.Lanes)
	unsubscribe := make([]func(), r.cfg.Lanes)
	for i := range r.lanes {
		var wake <-chan struct{}
		wake, unsubscribe[i] = r.outbox.subscribe()
		r.lanes[i] = r.newLane(i, wake)
	}
	for i, l := range r.lanes {
		lanes.Go(func() {
			defer unsubscribe[i]()
			l.run(ctx)
		})
	}
	others.Go(func() { r.pruneLoop(ctx) })
	others.Go(func() { r.moveLoop(ctx) })
	others.Go(func() { r.listen(ctx) })
	// The manager goes on renewing until the lanes have settled.
	manageCtx, stopManager := context.WithCancel(context.WithoutCancel(ctx))
	defer stopManager()
	others.Go(func() { r.manage(manageCtx, r.lanes) })
	lanes.Wait()
	stopManager()
	others.Wait()
	r.leave(ctx)
	return nil
}

// ready waits until the database answers and checks its schema.
func (r *Relay) ready(ctx context.Context) error {
	retry := backoff{low: r.cfg.RetryMin, high: r.cfg.RetryMax}
	dbCtx := r.unbroken(ctx)
	for {
		err := schema.Check(dbCtx, r.outbox.db, r.outbox.cfg.Dialect, r.outbox.names)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // an error after the end of ctx says nothing
		}
		r.health.database(err)
		if err == nil {
			return nil
		}
		if r.outbox.db.PingContext(dbCtx) == nil && !r.outbox.cfg.Dialect.IsUnavailable(err) && ctx.Err() == nil {
			// It answers, and what it says is that something is missing; but it
			// may have come back only just now.
			if err = schema.Check(dbCtx, r.outbox.db, r.outbox.cfg.Dialect, r.outbox.names); err != nil && ctx.Err() == nil {
				return fmt.Errorf("run relay: %w", err)
			}
			continue
		}
		wait(ctx, retry.next(), nil)
	}
}

// unbroken returns the context for a statement of the relay's own. SQLite's does
// not end: modernc.org/sqlite can leave the write lock behind when a statement
// is interrupted inside a transaction, and there is no network to wait for.
func (r *Relay) unbroken(ctx context.Context) context.Context {
	if r.outbox.cfg.Dialect == sqldialect.SQLite {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// manage keeps the leases.
func (r *Relay) manage(ctx context.Context, lanes []*lane) {
	retry := backoff{low: r.cfg.RetryMin, high: max(r.cfg.Lease/4, r.cfg.RetryMin)}
	for {
		pause := r.cfg.Lease / 4
		tickCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Lease/2)
		gained, err := r.group.Tick(r.unbroken(tickCtx))
		cancel()
		switch {
		case err == nil:
			retry.reset()
		case ctx.Err() != nil:
			return
		default:
			if !r.outbox.cfg.Dialect.IsContention(err) {
				r.health.database(err)
			}
			pause = retry.next()
		}
		if gained {
			for _, l := range lanes {
				l.poke()
			}
		}
		if !wait(ctx, pause, r.kick) {
			return
		}
	}
}

func (r *Relay) kickManager() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// leave gives the shards back and waits for calls of the publisher.
func (r *Relay) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.StopTimeout)
	defer cancel()
	if err := r.group.Close(r.unbroken(ctx)); err != nil {
		r.outbox.cfg.Logger.Warn("outbox relay could not give its shards back; others take them when the lease ends", "error", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.calls.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		r.outbox.cfg.Logger.Warn("outbox relay left calls of the publisher behind that did not return")
	}
}

// Stats returns the figures of now. It may be called at any time.
func (r *Relay) Stats() RelayStats {
	broker, database := r.health.since()
	return RelayStats{
		Delivered: r.stats.delivered.Load(), Failed: r.stats.failed.Load(), Parked: r.stats.parked.Load(), Expired: r.stats.expired.Load(), Moved: r.stats.moved.Load(), Retried: r.stats.retried.Load(),
		Stale: r.stats.stale.Load(), Late: r.stats.late.Load(), Rereads: r.stats.rereads.Load(), Rounds: r.stats.rounds.Load(), Stretches: r.stats.stretches.Load(),
		Shards: r.group.Count(), BrokerAwaySince: broker, DatabaseAwaySince: database,
	}
}
