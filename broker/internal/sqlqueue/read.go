package sqlqueue

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

const (
	// maxFailing is how many failing keys of a shard are left out of reads.
	maxFailing = 64
	// contentRows is how many messages are fetched at once.
	contentRows = 256
	// maxHeldBytes is where reading pauses, whatever prefetch allows.
	maxHeldBytes = 64 << 20
)

// hardLimit is how many items may be held, those behind failing keys among them.
func (s *subscription) hardLimit() int { return 4 * s.prefetch }

// reader is what the read loop keeps between its rounds.
type reader struct {
	*subscription
	perShard int
	swept    time.Time
	last     time.Time // when the last read began
	idle     time.Duration
	failures int
}

func (s *subscription) readLoop(ctx context.Context) {
	wake, stop := s.hub.await(s.store.tables.topic + s.topic)
	defer stop()
	r := &reader{subscription: s, idle: s.pollMin}
	for ctx.Err() == nil {
		wait := r.round(ctx)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wake:
			r.idle = s.pollMin
		case <-s.room:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// round reads once and says how long to wait.
func (r *reader) round(ctx context.Context) time.Duration {
	q := r.plan()
	if q.limit <= 0 {
		return r.pollMax // there is no room or no shard; s.room tells when there is
	}
	n, full, err := r.fetch(ctx, q)
	switch {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		r.failures++
		r.health.report("reading", r.store.mark(ctx, "read messages", err))
		// Not cut short by s.room: the database would be asked in vain.
		_ = backoff.Wait(ctx, reconnect.Delay(r.failures))
		return 0
	}
	r.failures = 0
	r.health.report("reading", nil)
	r.adapt(n, full, q)
	switch {
	case full:
		r.idle = r.pollMin
		return 0
	case n > 0:
		r.idle = r.pollMin
	default:
		r.idle = min(2*r.idle, r.pollMax)
	}
	return r.idle
}

// adapt sets how many rows the next read asks of each shard: an equal part of
// the room, more where few shards hold most of the rows.
func (r *reader) adapt(n int, full bool, q readPlan) {
	switch {
	case !full:
		r.perShard = 0
	case n < q.limit/2:
		r.perShard = min(2*q.perShard, q.limit)
	default:
		r.perShard = q.perShard
	}
}

// readPlan is what one read wants.
type readPlan struct {
	claims   []*claim
	shards   []int16
	floors   []int64
	held     [][]int64 // ids left out, by shard
	failing  [][]int64 // key hashes left out, by shard
	perShard int
	limit    int
}

// plan says what to read next. What was deleted before this read begins cannot
// be found by it, and is forgotten.
func (r *reader) plan() readPlan {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.gone {
		delete(i.claim.items, i.id)
	}
	r.gone = nil
	sweep := now.Sub(r.swept) >= sweepEvery
	var q readPlan
	behind := 0 // held, but waiting for a failing key
	for _, c := range r.claims {
		if c.state != open {
			continue
		}
		floor := c.floor(now)
		if sweep {
			floor = 0
		}
		q.claims = append(q.claims, c)
		q.shards, q.floors = append(q.shards, int16(c.held.Part)), append(q.floors, floor) //nolint:gosec // less than 32
		q.held = append(q.held, slices.Collect(maps.Keys(c.items)))
		q.failing = append(q.failing, slices.Collect(maps.Keys(c.failing)))
		for hash := range c.failing {
			behind += c.keys[hash]
		}
	}
	if len(q.claims) == 0 || r.bytes >= maxHeldBytes {
		return readPlan{}
	}
	q.limit = min(r.prefetch-r.held+behind, r.hardLimit()-r.held)
	if q.limit < r.prefetch/4 && now.Sub(r.last) < r.pollMax {
		return readPlan{} // too little to be worth a read
	}
	if r.last = now; sweep {
		r.swept = now
	}
	q.perShard = max(r.perShard, (q.limit+len(q.claims)-1)/len(q.claims))
	return q
}

// found is one pending row.
type found struct {
	claim *claim
	id    int64
	hash  int64
}

// fetch reads and hands over to the dispatcher. It returns how many messages it
// took, and whether there may be more.
func (r *reader) fetch(ctx context.Context, q readPlan) (n int, full bool, err error) {
	now := time.Now()
	rows, full, err := r.pending(ctx, q)
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	// In the order of their numbers, so that what is left for the next time
	// is the end of each shard.
	slices.SortFunc(rows, func(a, b found) int { return cmp.Compare(a.id, b.id) })
	if len(rows) > q.limit {
		rows, full = rows[:q.limit], true
	}
	for part := range slices.Chunk(rows, contentRows) {
		items, err := r.content(ctx, part)
		if err != nil {
			return n, false, err
		}
		if !r.take(items, now) {
			return n, true, nil
		}
		n += len(items)
	}
	return n, full, nil
}

// take puts items into the books and into the dispatcher. It reports whether
// more may come.
func (r *reader) take(items []*item, now time.Time) (more bool) {
	r.mu.Lock()
	ours := items[:0]
	for _, i := range items {
		c := i.claim
		if c.state != open {
			continue
		}
		c.items[i.id] = i
		r.held++
		r.bytes += i.size()
		if i.hash != 0 {
			c.keys[i.hash]++
		}
		c.window.observe(now, i.id)
		if i.state == acked { // the message has been removed: so is its row
			r.acked = append(r.acked, i)
			poke(r.toFlush)
			continue
		}
		ours = append(ours, i)
	}
	more = r.bytes < maxHeldBytes
	r.mu.Unlock()
	for _, i := range ours {
		if !r.dispatcher.Add(i) { // never waits: it has places for all that may be held
			return false
		}
	}
	return more
}

// pending finds the first rows of each shard that are not held.
func (r *reader) pending(ctx context.Context, q readPlan) (_ []found, full bool, err error) {
	byShard := make(map[int16]*claim, len(q.claims))
	for i, c := range q.claims {
		byShard[q.shards[i]] = c
	}
	query, args := r.store.pendingQuery(r.groupID, q)
	rows, err := r.store.db.QueryContext(r.store.unbroken(ctx), query, args...)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var all []found
	counts := map[int16]int{}
	for rows.Next() {
		var f found
		var shard int16
		if err := rows.Scan(&shard, &f.id, &f.hash); err != nil {
			return nil, false, err
		}
		f.claim = byShard[shard]
		all = append(all, f)
		if counts[shard]++; counts[shard] == q.perShard {
			full = true
		}
	}
	return all, full, rows.Err()
}

// content fetches the messages of rows, in their order.
func (r *reader) content(ctx context.Context, part []found) (_ []*item, err error) {
	ids := make([]int64, len(part))
	byID := make(map[int64]*item, len(part))
	items := make([]*item, len(part))
	for n, f := range part {
		// Acked until the message is found: retention has removed it otherwise.
		i := &item{claim: f.claim, id: f.id, hash: f.hash, state: acked}
		ids[n], items[n], byID[f.id] = f.id, i, i
	}
	query, args := r.store.contentQuery(r.topicID, ids)
	rows, err := r.store.db.QueryContext(r.store.unbroken(ctx), query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		m, id, err := scanStored(rows)
		if err != nil {
			return nil, err
		}
		if i := byID[id]; i != nil {
			i.stored, i.state = m, waiting
		}
	}
	return items, rows.Err()
}
