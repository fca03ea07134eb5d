package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// MaxDelay is how far ahead a message can be published.
const MaxDelay = 366 * 24 * time.Hour

// publishQueue holds the messages that are to enter the outbox at their time.
const publishQueue = "publish"

// PublishAt is Publish for messages that are not to leave before at: they wait
// in the table sluicegate_task, written in the same transaction, until a relay
// moves them into the outbox.
//
// A time that is past by this process's clock is now, as with Publish; one that
// is zero, or further ahead than MaxDelay, is a *MessageError. From then on it is
// the database's clock that counts. A relay that runs looks for what is due every
// two RelayConfig.PollMax, and at least every second, so by default a message leaves
// within about half a second after its time.
//
// A message takes its place among those of its key when it enters the outbox.
// Messages that become due enter in the order of their times, and of their writing
// where these are equal, except past a crash: what the relay that crashed was
// about to move comes when its lease has ended.
func (o *Outbox) PublishAt(ctx context.Context, tx Executor, at time.Time, topic string, msgs ...*message.Message) error {
	left := time.Until(at)
	switch {
	case at.IsZero():
		return refused("at", "is zero; use Publish to publish now")
	case left > MaxDelay:
		return refused("at", fmt.Sprintf("is %v from now, at most %v are allowed", left.Round(time.Second), MaxDelay))
	case left <= 0:
		return o.Publish(ctx, tx, topic, msgs...)
	}
	return o.delay(ctx, tx, schedule.Spec{Due: at}, topic, msgs)
}

// PublishAfter is PublishAt so long from now, by the database's clock. A delay
// that is not positive is none.
func (o *Outbox) PublishAfter(ctx context.Context, tx Executor, delay time.Duration, topic string, msgs ...*message.Message) error {
	switch {
	case delay > MaxDelay:
		return refused("delay", fmt.Sprintf("is %v, at most %v are allowed", delay, MaxDelay))
	case delay <= 0:
		return o.Publish(ctx, tx, topic, msgs...)
	}
	return o.delay(ctx, tx, schedule.Spec{Delay: delay}, topic, msgs)
}

func refused(field, reason string) error {
	return fmt.Errorf("publish to outbox: %w", failure.Permanent(&MessageError{Index: -1, Field: field, Reason: reason}))
}

func (o *Outbox) delay(ctx context.Context, tx Executor, spec schedule.Spec, topic string, msgs []*message.Message) error {
	if tx == nil {
		return errors.New("publish to outbox: the transaction is nil")
	}
	rows, err := o.rows(ctx, topic, msgs)
	if err != nil {
		return fmt.Errorf("publish to outbox: %w", failure.Permanent(err))
	}
	for i := range rows {
		if err := o.shelve(ctx, tx, spec, &rows[i]); err != nil {
			return fmt.Errorf("publish to outbox: %w", err)
		}
	}
	return nil
}

// setTimes checks the times that a message brings along.
func (r *row) setTimes(md message.Metadata) *MessageError {
	if _, err := header.Expiry(md); err != nil {
		return &MessageError{Field: "metadata", Reason: err.Error()}
	}
	at, err := header.Available(md)
	switch {
	case err != nil:
		return &MessageError{Field: "metadata", Reason: err.Error()}
	case at.IsZero():
		return nil
	}
	if left := time.Until(at); left > MaxDelay {
		return &MessageError{Field: "metadata", Reason: fmt.Sprintf("%s is more than %v from now", header.AvailableAt, MaxDelay)}
	} else if left > 0 {
		r.due = at.UnixMicro()
	}
	return nil
}

// shelveLater shelves the rows that are not to leave now, and returns the others.
func (o *Outbox) shelveLater(ctx context.Context, tx Executor, rows []row) ([]row, error) {
	later := false
	for i := range rows {
		later = later || rows[i].due != 0
	}
	if !later {
		return rows, nil
	}
	now := make([]row, 0, len(rows))
	for i := range rows {
		if rows[i].due == 0 {
			now = append(now, rows[i])
			continue
		}
		if err := o.shelve(ctx, tx, schedule.Spec{Due: time.UnixMicro(rows[i].due)}, &rows[i]); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// shelve adds r as a task that becomes due as spec says.
func (o *Outbox) shelve(ctx context.Context, tx Executor, spec schedule.Spec, r *row) (err error) {
	// One message may be published more than once, so its UUID is no key.
	spec.Queue, spec.Key = publishQueue, newUUID()
	if spec.Payload, err = json.Marshal(shelved{
		Topic: r.topic, Key: r.key, UUID: r.uuid, Payload: r.payload, Headers: r.headers, TraceParent: r.traceParent, TraceState: r.traceState,
	}); err != nil {
		return fmt.Errorf("write task: %w", err)
	}
	_, err = o.tasks.AddTx(ctx, tx, spec)
	return err
}

// shelved is a row as a task holds it.
type shelved struct {
	Topic       string `json:"topic"`
	Key         string `json:"key,omitempty"`
	UUID        string `json:"uuid"`
	Payload     []byte `json:"payload"` // null is not the same as empty
	Headers     string `json:"headers"`
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
}

var errShelved = errors.New("task does not hold a message")

// unshelve reads what shelve wrote. The decoder's own error would quote what it
// found.
func unshelve(t schedule.Task) (row, error) {
	var s shelved
	if err := json.Unmarshal(t.Payload, &s); err != nil || s.Topic == "" || s.UUID == "" {
		return row{}, errShelved
	}
	return row{
		shard: shardOf(s.Key, s.UUID), topic: s.Topic, key: s.Key, uuid: s.UUID, payload: s.Payload, headers: s.Headers,
		traceParent: s.TraceParent, traceState: s.TraceState, attempts: t.Attempts,
	}, nil
}
