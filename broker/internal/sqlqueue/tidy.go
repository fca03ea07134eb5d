package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const (
	// tidyEvery is how often the messages of a topic are looked through for
	// those that every group has acked and that are older than retain.
	tidyEvery = 5 * time.Second
	// tidyPause is the wait between two parts of a topic where nothing could be
	// removed.
	tidyPause = time.Second
	tidyRows  = 2000
)

// tidyLoop removes old messages, in the member that has the first shard.
func (s *subscription) tidyLoop(ctx context.Context) {
	cursor, wait := int64(0), tidyEvery
	for backoff.Wait(ctx, wait) == nil {
		if wait = tidyEvery; !s.leases.Owns(0) {
			cursor = 0
			continue
		}
		next, removed, err := s.store.tidy(ctx, s.topicID, cursor, s.retain)
		if ctx.Err() != nil {
			return
		}
		s.health.report("tidying", s.store.mark(ctx, "remove old messages", err))
		if err != nil {
			continue
		}
		switch cursor = next; {
		case next == 0: // that was all
		case removed > 0:
			wait = time.Millisecond
		default:
			wait = tidyPause
		}
	}
}

// old is a message that may be removed.
type old struct {
	ids  []int64
	last int64
	more bool
}

// tidy removes messages after the cursor that are older than retain and pending
// nowhere. It returns where to go on, 0 at the end.
func (s *store) tidy(ctx context.Context, topic, cursor int64, retain time.Duration) (next int64, removed int, err error) {
	groups, limit, err := s.groupsOf(ctx, topic)
	if err != nil || len(groups) == 0 {
		return 0, 0, err // nobody has had the messages yet
	}
	o, err := s.oldMessages(ctx, topic, cursor, limit, retain)
	if err != nil || len(o.ids) == 0 {
		return 0, 0, err
	}
	query := fmt.Sprintf("SELECT message_id FROM %s WHERE group_id IN (%s) AND shard IN (%s) AND message_id BETWEEN %d AND %d",
		s.tables.pending, join64(groups), allShards, o.ids[0], o.last)
	pending, err := s.numbers(ctx, query)
	if err != nil {
		return 0, 0, err
	}
	kept := make(map[int64]bool, len(pending))
	for _, id := range pending {
		kept[id] = true
	}
	var remove []int64
	for _, id := range o.ids {
		if !kept[id] {
			remove = append(remove, id)
		}
	}
	if len(remove) > 0 {
		err = s.removeMessages(ctx, topic, remove)
	}
	if !o.more {
		return 0, len(remove), err
	}
	return o.last, len(remove), err
}

var allShards = func() string {
	ids := make([]int64, shards)
	for i := range ids {
		ids[i] = int64(i)
	}
	return join64(ids)
}()

// groupsOf returns the groups of a topic, and the last message that is no
// group's outstanding backlog, or the highest number.
func (s *store) groupsOf(ctx context.Context, topic int64) (groups []int64, limit int64, err error) {
	rows, err := s.db.QueryContext(s.unbroken(ctx), s.dialect.Bind("SELECT id, backlog_from, backlog_to FROM "+s.tables.group+" WHERE topic_id = ?"), topic)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	limit = 1<<63 - 1
	for rows.Next() {
		var id, from, to int64
		if err := rows.Scan(&id, &from, &to); err != nil {
			return nil, 0, err
		}
		if groups = append(groups, id); from < to {
			limit = min(limit, from)
		}
	}
	return groups, limit, rows.Err()
}

func (s *store) oldMessages(ctx context.Context, topic, cursor, limit int64, retain time.Duration) (o old, err error) {
	query := fmt.Sprintf("SELECT id, created_at, %s FROM %s WHERE topic_id = ? AND id > ? AND id <= ? ORDER BY id LIMIT %d", s.dialect.Now(), s.tables.message, tidyRows)
	rows, err := s.db.QueryContext(s.unbroken(ctx), s.dialect.Bind(query), topic, cursor, limit)
	if err != nil {
		return old{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, created, now int64
		if err := rows.Scan(&id, &created, &now); err != nil {
			return old{}, err
		}
		if created > now-retain.Microseconds() {
			return o, nil // the rest is younger
		}
		o.ids, o.last = append(o.ids, id), id
	}
	o.more = len(o.ids) == tidyRows
	return o, rows.Err()
}

func (s *store) removeMessages(ctx context.Context, topic int64, ids []int64) error {
	query := fmt.Sprintf("DELETE FROM %s WHERE id IN (%s)", s.tables.message, join64(ids))
	if s.dialect == sqldialect.PostgreSQL {
		_, err := s.db.ExecContext(ctx, "DELETE FROM "+s.tables.message+" WHERE topic_id = $1 AND id = ANY(CAST($2 AS BIGINT[]))", topic, ids)
		return err
	}
	_, err := s.db.ExecContext(s.unbroken(ctx), query)
	return err
}

func (s *store) numbers(ctx context.Context, query string) (ids []int64, err error) {
	rows, err := s.db.QueryContext(s.unbroken(ctx), query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
