package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

const attemptTimeout = 30 * time.Second

// Prepare connects, brings the tables up to date and looks whether everything
// can be reached. The error is a *NotReadyError.
func (n *Node) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	var problems NotReadyError
	if err := n.prepareDatabase(ctx); err != nil {
		problems.add("database", err, n.cfg.Database.Dialect().IsDenied(err))
	}
	n.reachOthers(ctx, &problems)
	if err := problems.err(); err != nil {
		return err
	}
	if n.store.evicts != nil {
		if err := n.store.evicts(ctx); errors.Is(err, redisstore.ErrEviction) {
			n.cfg.Logger.WarnContext(ctx, "an effect may be repeated: the idempotency store may forget", "error", err)
		}
	}
	n.prepared.Store(true)
	return nil
}

func (n *Node) prepareDatabase(ctx context.Context) error {
	d := n.cfg.Database.Dialect()
	if err := n.db.PingContext(ctx); err != nil {
		return fmt.Errorf("reach database %s: %w", n.cfg.Database, err)
	}
	err := sluicegate.Migrate(ctx, n.db, sluicegate.Config{Dialect: d})
	if err == nil {
		err = shop.CreateTables(ctx, n.db, d)
	}
	if err != nil && d.IsDenied(err) && n.checkTables(ctx) == nil {
		return nil // who may not make tables can use those that somebody else has made
	}
	if err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	return nil
}

func (n *Node) checkTables(ctx context.Context) error {
	if err := schema.Check(ctx, n.db, n.cfg.Database.Dialect(), sqldialect.Names{}); err != nil {
		return err
	}
	return shop.CheckTables(ctx, n.db)
}

// Ready reports what keeps the node from working, as a *NotReadyError.
func (n *Node) Ready(ctx context.Context) error {
	var problems NotReadyError
	err := n.db.PingContext(ctx)
	if err != nil {
		err = fmt.Errorf("reach database: %w", err)
	} else {
		err = n.checkTables(ctx)
	}
	if err != nil {
		problems.add("database", err, n.cfg.Database.Dialect().IsDenied(err))
	}
	n.reachOthers(ctx, &problems)
	n.roles.Range(func(name, _ any) bool {
		problems.Reasons = append(problems.Reasons, Reason{Component: fmt.Sprint(name), Reason: "ended by itself and begins again"})
		problems.errs = append(problems.errs, fmt.Errorf("role %s: ended by itself and begins again", name))
		return true
	})
	if len(problems.errs) == 0 && !n.prepared.Load() {
		problems.Reasons, problems.errs = []Reason{{Component: "process", Reason: "is starting"}}, []error{errors.New("the process is starting")}
	}
	return problems.err()
}

// reachOthers looks at brokers and store, all at once.
func (n *Node) reachOthers(ctx context.Context, problems *NotReadyError) {
	var brokerErr, storeErr error
	var both sync.WaitGroup
	both.Go(func() { brokerErr = n.brokers.Check(ctx) })
	if n.store.check != nil {
		both.Go(func() { storeErr = n.store.check(ctx) })
	}
	both.Wait()
	if brokerErr != nil {
		problems.add("broker", fmt.Errorf("reach broker: %w", brokerErr), deniesUser(brokerErr))
	}
	if storeErr != nil {
		problems.add("idempotency store", fmt.Errorf("reach idempotency store: %w", storeErr), deniesUser(storeErr))
	}
}

// Idle reports whether no message of this shop waits in the outbox.
func (n *Node) Idle(ctx context.Context) (bool, error) {
	t, d := shop.Topics(n.cfg.TopicSuffix), n.cfg.Database.Dialect()
	var waiting int
	err := n.db.QueryRowContext(ctx, d.Bind("SELECT COUNT(*) FROM "+sqldialect.Names{}.Table(d, schema.Outbox)+" WHERE topic IN (?, ?, ?)"),
		t.Placed, t.Paid, t.Parcels).Scan(&waiting)
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
	lone, is := n.oneProcess()
	if !is {
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
			ErrShared, lone.Driver, relays, waiting)
	}
	return nil
}

// maxRefusals is how often in a row somebody is refused before he gives up.
const maxRefusals = 3

// Wait prepares the node as soon as everything can be reached, however long
// that takes. It returns ctx's error where that ended before, and a *RefusedError
// where waiting would not help: after some tries, for a server that is just
// starting may refuse for a moment.
func (n *Node) Wait(ctx context.Context) error {
	pause, refusals := 200*time.Millisecond, 0
	for first := true; ; first = false {
		err := n.Prepare(ctx)
		var refused *RefusedError
		switch {
		case err == nil:
			if !first {
				n.cfg.Logger.InfoContext(ctx, "everything can be reached now")
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused):
			if refusals++; refusals == maxRefusals {
				return err
			}
		default:
			refusals = 0
		}
		n.cfg.Logger.WarnContext(ctx, "waiting: not everything that is needed can be reached", "error", err, "next_try_in", pause)
		if backoff.Wait(ctx, pause) != nil {
			return ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
	}
}
