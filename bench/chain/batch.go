package chain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/sluicegate/sluicegate"
)

const (
	batchMessages  = 60_000
	singleMessages = 10_000
)

// Batch handles messages with the sql strength and a real effect row: by the
// batch handler of 100 in 4 lanes, and by the single handler at 8 in flight.
func Batch(ctx context.Context, postgresURL string) (batch, single float64, err error) {
	db, err := sql.Open("pgx", postgresURL)
	if err != nil {
		return 0, 0, fmt.Errorf("open PostgreSQL: %w", err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	s := &shop{db: db, prefix: fmt.Sprintf("bc%08x_", rand.Uint32())}
	defer func() { err = errors.Join(err, s.drop(context.WithoutCancel(ctx)), db.Close()) }()
	if err := s.create(ctx); err != nil {
		return 0, 0, err
	}
	m, err := alternate(ctx, s.batch, s.single)
	if err != nil {
		return 0, 0, err
	}
	return m[0], m[1], nil
}

// shop is a database with tables of one measurement alone.
type shop struct {
	db     *sql.DB
	prefix string
}

func (s *shop) create(ctx context.Context) error {
	if err := sluicegate.Migrate(ctx, s.db, sluicegate.Config{Prefix: s.prefix}); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, "CREATE TABLE "+s.prefix+"effect (message TEXT NOT NULL)")
	return err
}

func (s *shop) drop(ctx context.Context) error {
	var errs []error
	for _, t := range []string{"effect", "outbox", "outbox_history", "lease", "inbox", "dead_letter", "migration"} {
		_, err := s.db.ExecContext(ctx, "DROP TABLE IF EXISTS "+s.prefix+t)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// clear begins a trial with empty tables, and checks that no effect is missing
// or twice after it.
func (s *shop) clear(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "TRUNCATE "+s.prefix+"effect, "+s.prefix+"inbox")
	return err
}

func (s *shop) check(ctx context.Context, want int) error {
	var rows, messages int
	err := s.db.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT message) FROM "+s.prefix+"effect").Scan(&rows, &messages)
	if err == nil && (rows != want || messages != want) {
		err = fmt.Errorf("%d effects of %d messages, want one each of %d", rows, messages, want)
	}
	return err
}

func (s *shop) batch(ctx context.Context) (float64, error) {
	insert := "INSERT INTO " + s.prefix + "effect (message) SELECT unnest(CAST(CAST($1 AS TEXT) AS TEXT[]))"
	return s.trial(ctx, batchMessages, 400, func(stack *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return stack.HandleBatch(r, "stock", "orders", sub, func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
			ids := make([]string, len(msgs))
			for i, msg := range msgs {
				ids[i] = msg.UUID
			}
			_, err := tx.ExecContext(ctx, insert, "{"+strings.Join(ids, ",")+"}")
			return err
		}, sluicegate.BatchConfig{MaxBatch: 100, Lanes: 4})
	})
}

func (s *shop) single(ctx context.Context) (float64, error) {
	insert := "INSERT INTO " + s.prefix + "effect (message) VALUES ($1)"
	return s.trial(ctx, singleMessages, 8, func(stack *sluicegate.Stack, r *message.Router, sub message.Subscriber) error {
		return stack.Handle(r, "stock", "orders", sub, func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
			_, err := tx.ExecContext(ctx, insert, msg.UUID)
			return err
		})
	})
}

func (s *shop) trial(ctx context.Context, n, inFlight int, install func(*sluicegate.Stack, *message.Router, message.Subscriber) error) (float64, error) {
	if err := s.clear(ctx); err != nil {
		return 0, err
	}
	stack, err := sluicegate.New(s.db, sluicegate.Config{Prefix: s.prefix})
	if err != nil {
		return 0, err
	}
	perSecond, err := through(ctx, n, inFlight, func(r *message.Router, sub message.Subscriber) error { return install(stack, r, sub) })
	if err != nil {
		return 0, err
	}
	return perSecond, s.check(ctx, n)
}
