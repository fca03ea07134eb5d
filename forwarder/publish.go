package forwarder

import (
	"context"
	"fmt"
	"math/bits"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
)

// maxStatementBytes bounds one INSERT statement; it stays well below MySQL's
// smallest usual max_allowed_packet of 16 MiB.
const maxStatementBytes = 4 << 20

func (o *Outbox) publish(ctx context.Context, tx Executor, topic string, msgs []*message.Message) error {
	rows, err := o.rows(ctx, topic, msgs)
	if err != nil {
		return fmt.Errorf("publish to outbox: %w", failure.Permanent(err))
	}
	if rows, err = o.shelveLater(ctx, tx, rows); err != nil {
		return fmt.Errorf("publish to outbox: %w", err)
	}
	msgs = msgs[:len(rows)] // from here on only their number counts
	if len(rows) == 0 {
		return nil
	}
	adapter := &schemaAdapter{dialect: o.cfg.Dialect, table: o.names.Table(o.cfg.Dialect, schema.Outbox)}
	pub, err := wsql.NewPublisher(contextExecutor{ctx: ctx, tx: tx}, wsql.PublisherConfig{SchemaAdapter: adapter}, nil)
	if err != nil {
		return fmt.Errorf("publish to outbox: %w", err)
	}
	for len(msgs) > 0 {
		n := chunk(rows, o.cfg.Dialect.InsertRows())
		adapter.rows = rows[:n]
		// The table is the same for all topics; the destination is a column.
		if err := pub.Publish(schema.Outbox, msgs[:n]...); err != nil {
			return fmt.Errorf("publish to outbox: %w", err)
		}
		rows, msgs = rows[n:], msgs[n:]
	}
	return nil
}

// fewRows is up to how many rows any number has a statement of its own.
const fewRows = 16

// chunk says how many of rows go into one statement: at least one, and no more
// than most. Many rows go in powers of two: each number of rows is another text,
// which every connection has to prepare, and a text for 500 rows takes longer to
// prepare than to run.
func chunk(rows []row, most int) int {
	n := min(len(rows), most)
	size := 0
	for i := range n {
		if size += rows[i].size(); i > 0 && size > maxStatementBytes {
			n = i
			break
		}
	}
	if n <= fewRows || n == most {
		return n
	}
	return 1 << (bits.Len(uint(n)) - 1)
}
