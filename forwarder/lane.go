package forwarder

import (
	"context"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// The sizes of a lane's work.
const (
	// probeSize is how many messages are tried while the broker is away. They
	// are others each time, so that a handful that the broker refuses cannot
	// pass for a broker that is away.
	probeSize = 32
	// firstSize is the size of a lane's first batch.
	firstSize = 500
	// A full round that took less than quickRound is followed by a larger one,
	// one that took longer than slowRound by a smaller one.
	quickRound, slowRound = 100 * time.Millisecond, time.Second
	// spareHolds is how many blocks beyond a whole batch may wait.
	spareHolds = 1024
)

// lane reads, publishes and settles the shards of a relay whose number modulo
// Lanes is its own, one batch after the other: rows that are not settled are
// never read by a second batch. All fields but those under mu belong to the
// goroutine of run.
type lane struct {
	relay *Relay
	index int
	wake  <-chan struct{} // Outbox.Wake
	nudge chan struct{}   // from inside the relay
	slots chan struct{}   // places for Publish calls at once

	windows  map[int]*window
	holds    holds
	size     int       // of the next batch
	perShard int       // at most of each shard
	ahead    int64     // how far the next stretch goes, or 0
	calm     bool      // the last read had few rows
	turn     int       // which shard is read first, so that none is last for ever
	swept    time.Time // last sweep
	found    time.Time // last read that found something
	idle     backoff
	away     backoff // of the broker
	database backoff

	mu      sync.Mutex
	answers []answer
}

func (r *Relay) newLane(index int, wake <-chan struct{}) *lane {
	c := r.cfg
	return &lane{
		relay: r, index: index, wake: wake,
		nudge:   make(chan struct{}, 1),
		slots:   make(chan struct{}, c.Concurrency),
		windows: map[int]*window{}, holds: holds{},
		size:     min(firstSize, c.BatchSize),
		idle:     backoff{low: c.PollMin, high: c.PollMax},
		away:     backoff{low: c.RetryMin, high: c.RetryMax},
		database: backoff{low: c.RetryMin, high: c.RetryMax},
	}
}

// poke cuts the lane's wait short, or its next one.
func (l *lane) poke() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

func (l *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		p := l.round(ctx)
		if !l.pause(ctx, p) {
			return
		}
	}
}

// pause is how a round wants to be followed.
type pause struct {
	wait     time.Duration
	wakeable bool // Wake may cut it short
	shared   bool // it goes on while another lane looks for all
}

func (l *lane) pause(ctx context.Context, p pause) bool {
	if p.wait <= 0 {
		return ctx.Err() == nil
	}
	wake := l.wake
	if !p.wakeable {
		wake = nil
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if left := l.spared(p); left > 0 {
				timer.Reset(left)
				continue
			}
		case <-wake:
			l.idle.reset()
			return wait(ctx, l.relay.cfg.Linger-time.Since(l.found), nil)
		case <-l.nudge:
		case <-ctx.Done():
		}
		return ctx.Err() == nil
	}
}

func (l *lane) owns(shard int) bool { return shard%l.relay.cfg.Lanes == l.index }

// enter makes the state of the borrowed shards fit their leases: what was known
// under an earlier lease is void, another relay has been at work.
func (l *lane) enter(held []lease.Held) map[int]lease.Held {
	byShard := make(map[int]lease.Held, len(held))
	for _, h := range held {
		byShard[h.Part] = h
		if w := l.windows[h.Part]; w == nil || w.fence != h.Fence {
			l.windows[h.Part] = &window{fence: h.Fence}
			l.holds.forget(h.Part)
		}
	}
	return byShard
}

// reads says what to read of each shard. A sweep reads from the start.
func (l *lane) reads(held []lease.Held, now time.Time, sweep bool) []shardRead {
	out := make([]shardRead, 0, len(held))
	l.turn++
	for i := range held {
		shard := held[(i+l.turn)%len(held)].Part
		w := l.windows[shard]
		if l.relay.outbox.cfg.Dialect != sqldialect.PostgreSQL { // there, see follow
			w.advance(now, l.relay.floorLag())
		}
		r := shardRead{shard: shard, floor: w.below(l.holds.lowest(shard))}
		if sweep {
			r.floor = 0
		}
		r.keys, r.ids = l.holds.excluded(shard, now)
		out = append(out, r)
	}
	return out
}

// adapt sets how many rows the next read asks of each shard: an equal part of
// the batch, more where few shards hold most of the rows.
func (l *lane) adapt(shardCount int, res readResult) {
	base := max((l.size+shardCount-1)/shardCount, 1)
	switch {
	case l.perShard < base || !res.full:
		l.perShard = base
	case res.skewed:
		l.perShard = min(l.perShard*2, l.size)
	}
}

// resize fits the size of the next batch to how long a full one took: larger
// ones cost less a message, smaller ones repeat less and stay within deadlines.
func (l *lane) resize(took time.Duration) {
	switch most := l.relay.cfg.BatchSize; {
	case took < quickRound:
		l.size = min(2*l.size, most)
	case took > slowRound:
		l.size = max(l.size/2, min(firstSize/4, most))
	}
}
