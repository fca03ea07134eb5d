package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const (
	// flushAfter is how long an Ack waits for others to be deleted together.
	flushAfter = 5 * time.Millisecond
	// flushRows is how many do not wait.
	flushRows = 500
)

// commitLoop deletes what was acked until stop is closed, and then the rest.
func (s *subscription) commitLoop(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case <-s.toFlush:
		case <-stop:
			ctx, cancel := context.WithTimeout(ctx, leaveWait)
			s.flush(ctx, true)
			cancel()
			return
		}
		timer := time.NewTimer(flushAfter)
		for waiting := true; waiting; {
			select {
			case <-timer.C:
				waiting = false
			case <-s.toFlush:
				s.mu.Lock()
				waiting = len(s.acked) < flushRows
				s.mu.Unlock()
			case <-stop:
				waiting = false
			}
		}
		timer.Stop()
		s.flush(ctx, false)
	}
}

// flush deletes what was acked so far. It tries again until the leases have
// ended, or, the last time, until ctx has.
func (s *subscription) flush(ctx context.Context, last bool) {
	for failures := 1; ; failures++ {
		batch := s.flushable()
		if len(batch) == 0 {
			return
		}
		tryCtx, cancel := context.WithTimeout(ctx, s.lease)
		stale, err := s.remove(tryCtx, batch)
		err = s.store.mark(tryCtx, "delete what was acked", err)
		cancel()
		if err == nil {
			s.health.report("deleting", nil)
			s.removed(batch, stale)
			if !last {
				return
			}
			continue // what was acked in the meantime
		}
		s.health.report("deleting", err)
		if backoff.Wait(ctx, min(reconnect.Delay(failures), s.lease/4)) != nil {
			return
		}
	}
}

// flushable returns what is acked and still ours.
func (s *subscription) flushable() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := s.acked[:0]
	for _, i := range s.acked {
		if i.claim.state == dead {
			s.forget(i)
			continue
		}
		ours = append(ours, i)
	}
	clear(s.acked[len(ours):])
	s.acked = ours
	return append([]*item(nil), ours...)
}

// remove deletes the rows of batch whose shards are still ours, in one
// transaction, and returns the leases that are not.
func (s *subscription) remove(ctx context.Context, batch []*item) (stale []lease.Held, err error) {
	var held []lease.Held
	byShard := map[int][]int64{}
	for _, i := range batch {
		part := i.claim.held.Part
		if byShard[part] == nil {
			held = append(held, i.claim.held)
		}
		byShard[part] = append(byShard[part], i.id)
	}
	err = s.store.retried(ctx, func() error {
		return s.store.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if stale, err = s.leases.Verify(ctx, tx, held); err != nil {
				return err
			}
			ours := make(map[int][]int64, len(byShard))
			for _, h := range held {
				ours[h.Part] = byShard[h.Part]
			}
			for _, h := range stale {
				delete(ours, h.Part)
			}
			if len(ours) == 0 {
				return nil
			}
			query, args := s.store.deleteQuery(s.groupID, ours)
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		})
	})
	return stale, err
}

// removed takes what was deleted out of the books, and ends stale claims.
func (s *subscription) removed(batch []*item, stale []lease.Held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range stale {
		s.leases.Drop(h)
		if c := s.claims[h.Part]; c != nil && c.held.Fence == h.Fence {
			s.end(c)
		}
		poke(s.kick)
	}
	done := make(map[*item]bool, len(batch))
	for _, i := range batch {
		done[i] = true
		if i.claim.state == dead {
			s.forget(i)
			continue
		}
		i.state = deleted
		s.leaveBooks(i)
		i.stored = stored{} // the content is not needed any more
		s.gone = append(s.gone, i)
	}
	rest := s.acked[:0]
	for _, i := range s.acked {
		if !done[i] {
			rest = append(rest, i)
		}
	}
	clear(s.acked[len(rest):])
	s.acked = rest
	if len(rest) > 0 {
		poke(s.toFlush)
	}
}

// deleteQuery deletes pending rows by their primary key.
func (s *store) deleteQuery(group int64, byShard map[int][]int64) (string, []any) {
	if s.dialect == sqldialect.PostgreSQL {
		var list []int16
		var ids []int64
		for shard, of := range byShard {
			for _, id := range of {
				list, ids = append(list, int16(shard)), append(ids, id) //nolint:gosec // less than 32
			}
		}
		return "DELETE FROM " + s.tables.pending + " p USING unnest(CAST($2 AS SMALLINT[]), CAST($3 AS BIGINT[])) AS d (shard, id)" +
			" WHERE p.group_id = $1 AND p.shard = d.shard AND p.message_id = d.id", []any{group, list, ids}
	}
	b := fmt.Appendf(nil, "DELETE FROM %s WHERE ", s.tables.pending)
	first := true
	for shard, ids := range byShard {
		if !first {
			b = append(b, " OR "...)
		}
		first = false
		b = fmt.Appendf(b, "(group_id = %d AND shard = %d AND message_id IN (%s))", group, shard, join64(ids))
	}
	return string(b), nil
}
