package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/schema"
)

// Backlog is what waits in an outbox.
type Backlog struct {
	// Messages are committed and not yet acknowledged by the broker; those that are delayed
	// or parked are not among them.
	Messages int64
	// Oldest is the age, by the database's clock, of the one that entered first: the lag. 0 where
	// none waits.
	Oldest time.Duration
}

// Backlog tells how much waits to be sent, whoever sends it. It is for gauges: it counts
// the rows of the table, a million in some tenths of a second, and keeps nobody waiting.
func (o *Outbox) Backlog(ctx context.Context) (b Backlog, err error) {
	table := o.names.Table(o.cfg.Dialect, schema.Outbox)
	if err := o.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&b.Messages); err != nil {
		return Backlog{}, fmt.Errorf("count outbox: %w", err)
	}
	var age int64
	err = o.db.QueryRowContext(ctx, "SELECT "+o.cfg.Dialect.Now()+" - created_at FROM "+table+" ORDER BY id LIMIT 1").Scan(&age)
	switch {
	case errors.Is(err, sql.ErrNoRows): // sent meanwhile
		return Backlog{}, nil
	case err != nil:
		return Backlog{}, fmt.Errorf("read age of outbox: %w", err)
	}
	b.Oldest = max(time.Duration(age)*time.Microsecond, 0)
	return b, nil
}
