package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Executor runs a statement in the caller's transaction: *sql.Tx is one, GORM's ConnPool, and
// what forwarder/pgxtx makes of a pgx.Tx.
type Executor = dbtx.Executor

// Enqueue writes a notification in the caller's transaction: it is there when that
// commits, and the first POST follows; see Wake. It answers false where the
// target has it already, and changes nothing then; ErrConflict where that one differs, and ErrInvalid. A
// concurrent transaction with the same request number is waited for.
func (n *Notifier) Enqueue(ctx context.Context, tx Executor, what Notification) (added bool, err error) {
	if tx == nil {
		return false, invalid("tx: is nil")
	}
	if what, err = what.normalize(n.cfg.MaxPayload); err != nil {
		return false, err
	}
	uid := uidOf(what.Target, what.ID)
	insert := "INSERT INTO {message} (uid, target, request, type, content_type, payload, digest, status, last_error, next_at, created_at, updated_at) " +
		"VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', '', {now}, {now}, {now})"
	if n.db.Dialect != sqldialect.MySQL {
		insert += " ON CONFLICT DO NOTHING"
	}
	payload := what.Payload
	if payload == nil {
		payload = []byte{}
	}
	rows, err := n.db.Exec(ctx, tx, insert, uid, what.Target, what.ID, what.Type, what.ContentType, payload, what.digest())
	if n.db.Dialect == sqldialect.MySQL && n.db.Dialect.IsDuplicate(err) {
		rows, err = 0, nil // INSERT IGNORE would hide other errors too
	}
	if err != nil {
		return false, fmt.Errorf("enqueue notification: %w", err)
	}
	if rows == 0 {
		return false, n.same(ctx, tx, uid, what)
	}
	if err := n.addTask(ctx, tx, what.Target, uid, 1, 0); err != nil {
		return false, fmt.Errorf("enqueue notification: %w", err)
	}
	return true, nil
}

// same returns ErrConflict where the notification that is there differs. It changes a row to
// look at it: that is what an Executor can do.
func (n *Notifier) same(ctx context.Context, tx Executor, uid string, what Notification) error {
	rows, err := n.db.Exec(ctx, tx, "UPDATE {message} SET touched = touched + 1 WHERE uid = ? AND digest = ?", uid, what.digest())
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	if rows == 0 {
		return ErrConflict
	}
	return nil
}

// addTask has a round of a notification worked on. The round is in the key: a task
// of a round that is over cannot stand in the way of the next.
func (n *Notifier) addTask(ctx context.Context, tx Executor, target, uid string, round int64, attempts int) error {
	_, err := n.schedule.AddTx(ctx, tx, schedule.Spec{
		Queue: Queue, Target: target, Key: uid + ":" + strconv.FormatInt(round, 10), Attempts: attempts,
	})
	return err //nolint:wrapcheck // it says what it did
}

// Notify is Enqueue in a transaction of its own, and Wake.
func (n *Notifier) Notify(ctx context.Context, what Notification) (added bool, err error) {
	err = n.db.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) (err error) {
		added, err = n.Enqueue(ctx, tx, what)
		return err
	})
	if added && err == nil {
		n.Wake()
	}
	return added && err == nil, err
}

// Handler returns a function for Stack.Handle that enqueues, in the handler's
// transaction, what from makes of each message; ok is false for one that nobody is to be
// told of. Without an ID the message's UUID is the request number. A message that cannot
// be a notification, or that is another one than its request number has, is a permanent failure.
func (n *Notifier) Handler(from func(msg *message.Message) (what Notification, ok bool, err error)) func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
	return func(ctx context.Context, tx *sql.Tx, msg *message.Message) error {
		what, ok, err := from(msg)
		if err != nil || !ok {
			return err
		}
		if what.ID == "" {
			what.ID = msg.UUID
		}
		_, err = n.Enqueue(ctx, tx, what)
		if errors.Is(err, ErrInvalid) || errors.Is(err, ErrConflict) {
			return failure.Permanent(err)
		}
		return err
	}
}
