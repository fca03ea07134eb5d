package label

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/handlers/task"
)

// Tables makes the kit's own table: the state that its users see.
const Tables = `CREATE TABLE IF NOT EXISTS label (
  order_id VARCHAR(64) PRIMARY KEY,
  country  VARCHAR(8) NOT NULL,
  status   VARCHAR(16) NOT NULL, -- wanted, made, failed, withdrawn
  tracking VARCHAR(64) NOT NULL DEFAULT '',
  reason   VARCHAR(512) NOT NULL DEFAULT ''
)`

// Carrier is whom the kit calls. key is the idempotency key: the same for each attempt.
type Carrier interface {
	Make(ctx context.Context, key, country string) (tracking string, err error)
}

// Labels is the kit. It is safe for concurrent use.
type Labels struct {
	db      *sql.DB
	carrier Carrier
	tasks   *task.Queue
}

// New returns the kit in db, which has its Tables and those of sluicegate.Migrate. Of cfg
// the kit sets Dead itself.
func New(db *sql.DB, carrier Carrier, cfg task.Config) (*Labels, error) {
	if carrier == nil {
		return nil, errors.New("new labels: carrier: is nil")
	}
	cfg.Dead = func(ctx context.Context, tx *sql.Tx, t task.Task) error {
		return exec(ctx, tx, "UPDATE label SET status = 'failed', reason = ? WHERE order_id = ? AND status = 'wanted'", short(t.Error), t.Key)
	}
	tasks, err := task.New(db, "label", cfg)
	if err != nil {
		return nil, fmt.Errorf("new labels: %w", err)
	}
	return &Labels{db: db, carrier: carrier, tasks: tasks}, nil
}

// Want writes down, in the caller's transaction, that an order needs a label. A second time
// it changes nothing.
func (l *Labels) Want(ctx context.Context, tx *sql.Tx, order, country string) error {
	var status string
	err := tx.QueryRowContext(ctx, "SELECT status FROM label WHERE order_id = ?", order).Scan(&status)
	if err == nil {
		return nil // wanted before, whatever became of it
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for label: %w", err)
	}
	if err := exec(ctx, tx, "INSERT INTO label (order_id, country, status) VALUES (?, ?, 'wanted')", order, country); err != nil {
		return err
	}
	if _, err := l.tasks.Add(ctx, tx, task.Spec{Target: country, Key: order}); err != nil {
		return fmt.Errorf("want label: %w", err)
	}
	return nil
}

// OnPaid is the handler of "orders.paid": the payload is the country. Once it has returned
// and its transaction is committed, the message is done with: the task is there.
func (l *Labels) OnPaid(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	return l.Want(ctx, tx, msg.UUID, string(msg.Payload))
}

// Withdraw says that the label is not needed any more. It wins where the label is not made.
func (l *Labels) Withdraw(ctx context.Context, tx *sql.Tx, order string) error {
	return exec(ctx, tx, "UPDATE label SET status = 'withdrawn' WHERE order_id = ? AND status = 'wanted'", order)
}

// Again tries a label once more that has failed, from the start: a person said so.
func (l *Labels) Again(ctx context.Context, tx *sql.Tx, order string) error {
	var country string
	err := tx.QueryRowContext(ctx, "SELECT country FROM label WHERE order_id = ? AND status = 'failed'", order).Scan(&country)
	if err != nil {
		return fmt.Errorf("look for failed label: %w", err)
	}
	if err := exec(ctx, tx, "UPDATE label SET status = 'wanted', reason = '' WHERE order_id = ?", order); err != nil {
		return err
	}
	if _, err := l.tasks.Add(ctx, tx, task.Spec{Target: country, Key: order}); err != nil {
		return fmt.Errorf("want label again: %w", err)
	}
	return nil
}

// Wake has Run look at once, after a commit of Want or Again.
func (l *Labels) Wake() { l.tasks.Wake() }

// Run makes labels until ctx ends.
func (l *Labels) Run(ctx context.Context) error {
	return l.tasks.Run(ctx, l.work) //nolint:wrapcheck // it says what it is
}

// work makes one label. No transaction is open while the carrier is called.
func (l *Labels) work(ctx context.Context, t task.Task) task.Outcome {
	// The current row decides, not what was known when the task was added.
	var status, country string
	err := l.db.QueryRowContext(ctx, "SELECT status, country FROM label WHERE order_id = ?", t.Key).Scan(&status, &country)
	switch {
	case err != nil:
		return task.Failed(fmt.Errorf("read label: %w", err))
	case status == "withdrawn":
		return task.Withdrawn("the label is not wanted any more")
	case status != "wanted":
		return task.Succeeded()
	}
	tracking, err := l.carrier.Make(ctx, t.Key, country)
	if err != nil {
		return task.Failed(err)
	}
	// Only what is still wanted is made, and only by whoever has the task.
	return task.Succeeded().And(func(ctx context.Context, tx *sql.Tx) error {
		return exec(ctx, tx, "UPDATE label SET status = 'made', tracking = ? WHERE order_id = ? AND status = 'wanted'", tracking, t.Key)
	})
}

// Waits are the waits of a kit whose partner answers within a day.
func Waits() []time.Duration {
	return []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}
}

func exec(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("write label: %w", err)
	}
	return nil
}

// short keeps an error within its column.
func short(s string) string { return s[:min(len(s), 500)] }
