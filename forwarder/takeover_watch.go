package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// watchEvery is how often waiters are looked for.
const watchEvery = 50 * time.Millisecond

// watch holds the group's row for WatchFor. A forwarder of theirs that is alive
// either holds it already or, with its next poll, queues up for it, which is
// seen. It returns the position to go on from.
func (t *Takeover) watch(ctx context.Context) (at position, err error) {
	conn, err := t.outbox.db.Conn(ctx)
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if t.tables.d == sqldialect.MySQL {
		// Theirs may hold the gap of a group without a row; that must not make us
		// wait for the usual 50 s.
		if _, err := conn.ExecContext(ctx, "SET SESSION innodb_lock_wait_timeout = 1"); err != nil {
			return at, err
		}
		defer func() {
			_, resetErr := conn.ExecContext(context.WithoutCancel(ctx), "SET SESSION innodb_lock_wait_timeout = DEFAULT")
			err = errors.Join(err, resetErr)
		}()
	}
	if err := t.tables.ensure(ctx, conn); t.tables.d.IsContention(err) {
		return at, fmt.Errorf("%w: it holds the group's offset", ErrForwarderRunning)
	} else if err != nil {
		return at, fmt.Errorf("find their offset: %w", err)
	}
	tx, err := conn.BeginTx(ctx, t.tables.d.TxOptions())
	if err != nil {
		return at, err
	}
	defer func() { err = errors.Join(err, ignoreDone(tx.Rollback())) }()
	if at, err = t.tables.lock(ctx, tx); err != nil {
		return at, err
	}
	seen, err := t.waiters(ctx, tx)
	if err != nil {
		return at, err
	}
	for end := time.Now().Add(t.cfg.WatchFor); ; {
		n, err := seen()
		if err != nil {
			return at, fmt.Errorf("look for their forwarder: %w", err)
		}
		if n > 0 {
			return at, fmt.Errorf("%w: it waits for the group's offset", ErrForwarderRunning)
		}
		if time.Now().After(end) {
			return at, nil
		}
		if !wait(ctx, watchEvery, nil) {
			return at, ctx.Err()
		}
	}
}

// waiters returns a function that counts the sessions that wait for the row that
// tx holds.
func (t *Takeover) waiters(ctx context.Context, tx *sql.Tx) (func() (int, error), error) {
	if t.tables.d == sqldialect.PostgreSQL {
		var pid int
		if err := tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return nil, err
		}
		return func() (n int, err error) {
			err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM pg_locks l WHERE NOT l.granted AND $1 = ANY(pg_blocking_pids(l.pid))", pid).Scan(&n)
			return n, err
		}, nil
	}
	// The lock tables of InnoDB want a privilege that few services have; one's
	// own user's statements are always visible. A forwarder of another user is
	// noticed when it holds or moves the offset.
	query := "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND INFO LIKE ? ESCAPE '!' AND INFO LIKE '%FOR UPDATE%'"
	pattern := "%" + likeEscape(t.tables.offsetsPlain) + "`%"
	return func() (n int, err error) {
		err = tx.QueryRowContext(ctx, query, pattern).Scan(&n)
		return n, err
	}, nil
}

func likeEscape(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == '_' || s[i] == '%' || s[i] == '!' {
			out = append(out, '!')
		}
		out = append(out, s[i])
	}
	return string(out)
}
