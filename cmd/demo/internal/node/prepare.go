package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

const attemptTimeout = 30 * time.Second

// Prepare connects, brings the tables up to date and looks whether everything
// can be reached.
func (n *Node) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := n.db.PingContext(ctx); err != nil {
		return fmt.Errorf("reach database %s: %w", n.cfg.Database, err)
	}
	if err := sluicegate.Migrate(ctx, n.db, sluicegate.Config{Dialect: n.cfg.Database.Dialect()}); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := shop.CreateTables(ctx, n.db, n.cfg.Database.Dialect()); err != nil {
		return err
	}
	if err := n.reachOthers(ctx); err != nil {
		return err
	}
	if n.store.evicts != nil {
		if err := n.store.evicts(ctx); errors.Is(err, redisstore.ErrEviction) {
			n.cfg.Logger.WarnContext(ctx, "an effect may be repeated: the idempotency store may forget", "error", err)
		}
	}
	return nil
}

// Ready reports what keeps the node from working.
func (n *Node) Ready(ctx context.Context) error {
	if err := n.db.PingContext(ctx); err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	if err := schema.Check(ctx, n.db, n.cfg.Database.Dialect(), sqldialect.Names{}); err != nil {
		return err
	}
	if err := shop.CheckTables(ctx, n.db); err != nil {
		return err
	}
	return n.reachOthers(ctx)
}

func (n *Node) reachOthers(ctx context.Context) error {
	if err := n.broker.Check(ctx); err != nil {
		return fmt.Errorf("reach broker: %w", err)
	}
	if n.store.check != nil {
		if err := n.store.check(ctx); err != nil {
			return fmt.Errorf("reach idempotency store: %w", err)
		}
	}
	return nil
}

// Idle reports whether no message of this shop waits in the outbox.
func (n *Node) Idle(ctx context.Context) (bool, error) {
	t, d := shop.Topics(n.cfg.TopicSuffix), n.cfg.Database.Dialect()
	var waiting int
	err := n.db.QueryRowContext(ctx, d.Bind("SELECT COUNT(*) FROM "+sqldialect.Names{}.Table(d, schema.Outbox)+" WHERE topic IN (?, ?)"),
		t.Placed, t.Paid).Scan(&waiting)
	if err != nil {
		return false, fmt.Errorf("count the outbox: %w", err)
	}
	return waiting == 0, nil
}

// ErrShared says that others use the outbox.
var ErrShared = errors.New("others use the outbox of this database")

// Alone returns an error where a relay of another process is at work on the
// outbox, or messages of others wait in it, and the broker ends at this process:
// what one side publishes would not reach the other.
func (n *Node) Alone(ctx context.Context) error {
	if n.broker.Capabilities().SplitProcesses {
		return nil
	}
	d := n.cfg.Database.Dialect()
	var relays, waiting int
	query := "SELECT (SELECT COUNT(*) FROM " + sqldialect.Names{}.Table(d, schema.Lease) + " WHERE expires_at > " + d.Now() + "), " +
		"(SELECT COUNT(*) FROM " + sqldialect.Names{}.Table(d, schema.Outbox) + ")"
	if err := n.db.QueryRowContext(ctx, query).Scan(&relays, &waiting); err != nil {
		return fmt.Errorf("look whether others use the outbox: %w", err)
	}
	if relays+waiting > 0 {
		return fmt.Errorf("%w, and a %s broker does not reach them: %d leases of relays are held (a crashed process holds them for some seconds), %d messages wait; use another database, or a broker of several processes",
			ErrShared, n.broker.Capabilities().Driver, relays, waiting)
	}
	return nil
}

// Wait prepares the node as soon as everything can be reached, however long
// that takes. It returns false where ctx ended before.
func (n *Node) Wait(ctx context.Context) bool {
	pause := 200 * time.Millisecond
	for first := true; ; first = false {
		err := n.Prepare(ctx)
		switch {
		case err == nil:
			if !first {
				n.cfg.Logger.InfoContext(ctx, "everything can be reached now")
			}
			return true
		case ctx.Err() != nil:
			return false
		}
		n.cfg.Logger.WarnContext(ctx, "waiting: not everything that is needed can be reached", "error", err, "next_try_in", pause)
		if !pauseFor(ctx, pause) {
			return false
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// pauseFor waits for d and reports whether ctx is still there.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
