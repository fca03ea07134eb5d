package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// txBytes bounds one transaction of a publisher. A batch that has more takes
// several, one after the other; after one that failed the rest is not tried.
const txBytes = 16 << 20

// errNoTopic says that somebody has removed a topic that was there before.
var errNoTopic = errors.New("a topic was removed")

// PublishBatch stores what can be stored in one transaction.
func (d *driver) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	if err := ctx.Err(); err != nil {
		return fill(len(msgs), failure.Unavailable(fmt.Errorf("publish: %w", context.Cause(ctx))))
	}
	if err := d.store.ready(ctx); err != nil {
		return fill(len(msgs), err)
	}
	results := make([]error, len(msgs))
	rows, index := make([]row, 0, len(msgs)), make([]int, 0, len(msgs))
	for i, m := range msgs {
		var r row
		if results[i] = d.encode(&r, m); results[i] == nil {
			rows, index = append(rows, r), append(index, i)
		}
	}
	failed := len(rows) < len(msgs)
	for start := 0; start < len(rows); {
		end := start + fits(rows[start:], len(rows), txBytes)
		if err := d.store.publish(ctx, msgs, rows[start:end], index[start:end]); err != nil {
			for _, i := range index[start:] {
				results[i] = err
			}
			failed = true
			break
		}
		start = end
	}
	d.signal(msgs, results)
	if !failed {
		return nil
	}
	return results
}

func (d *driver) encode(r *row, m broker.Outgoing) error {
	if err := checkName("topic", m.Topic); err != nil {
		return err
	}
	if err := encode(r, m.Message, d.maxBytes); err != nil {
		return err
	}
	// The driver writes bytes as text, which at worst doubles them.
	if packet := d.store.packet.Load(); packet > 0 && int64(2*r.size()) > packet-8192 {
		return failure.Permanent(fmt.Errorf("message has %d bytes, more than half of the server's max_allowed_packet, %d", r.size(), packet))
	}
	return nil
}

// signal tells the subscribers in this process.
func (d *driver) signal(msgs []broker.Outgoing, results []error) {
	last := ""
	for i, m := range msgs {
		if results[i] == nil && m.Topic != last {
			d.hub.signal(d.store.tables.topic+m.Topic, nil)
			last = m.Topic
		}
	}
}

// publish stores rows, all or none.
func (s *store) publish(ctx context.Context, msgs []broker.Outgoing, rows []row, index []int) error {
	const attempts = 3 // to find topics that are being removed
	for n := 1; ; n++ {
		ids, err := s.number(ctx, msgs, rows, index)
		if err != nil {
			return failure.Unavailable(err) // nothing was tried
		}
		err = s.retried(ctx, func() error {
			return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
				found, now, err := s.shareTopics(ctx, tx, ids)
				switch {
				case err != nil:
					return err
				case found < len(ids):
					return errNoTopic
				}
				return s.insert(ctx, tx, rows, now)
			})
		})
		if !errors.Is(err, errNoTopic) || n == attempts {
			return s.mark(ctx, "store messages", err)
		}
		s.topics.Clear()
	}
}

// number puts the numbers of their topics into rows and returns them in order.
func (s *store) number(ctx context.Context, msgs []broker.Outgoing, rows []row, index []int) ([]int64, error) {
	var ids []int64
	last, id := "", int64(0)
	for i := range rows {
		if topic := msgs[index[i]].Topic; topic != last {
			var err error
			if id, err = s.topicID(ctx, topic); err != nil {
				return nil, err
			}
			last, ids = topic, append(ids, id)
		}
		rows[i].topic = id
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func fill(n int, err error) []error {
	results := make([]error, n)
	for i := range results {
		results[i] = err
	}
	return results
}

// fits returns how many of rows, at least one, have at most the given number
// and size.
func fits(rows []row, number, size int) int {
	total := 0
	for i := range rows {
		total += rows[i].size() + 64
		if i > 0 && (i == number || total > size) {
			return i
		}
	}
	return len(rows)
}
