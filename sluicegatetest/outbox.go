package sluicegatetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schema"
)

// Queryer is where messages are looked for: *sql.Tx, for what an open transaction has
// written, or *sql.DB.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// lookTimeout bounds a look at the database.
const lookTimeout = 5 * time.Second

// outboxRow is a message in the outbox.
type outboxRow struct {
	id    int64
	topic string
	later bool // published with a time that has not come
	msg   *message.Message
}

// Published returns the messages to topic that meet all conditions, in the order of
// their writing: those in the outbox as tx sees it, and those that Relay has delivered;
// then those with a later time. A nil tx sees what is committed; while a transaction
// is open on SQLite, give that.
func (h *Harness) Published(tx Queryer, topic string, match ...Match) []*message.Message {
	h.tb.Helper()
	var out []*message.Message
	for _, r := range h.outbox(tx) {
		if r.topic == topic && meets(r.msg, match) {
			out = append(out, r.msg)
		}
	}
	return out
}

// RequirePublished returns the first message that Published returns, and ends the test
// where there is none.
func (h *Harness) RequirePublished(tx Queryer, topic string, match ...Match) *message.Message {
	h.tb.Helper()
	rows := h.outbox(tx)
	for _, r := range rows {
		if r.topic == topic && meets(r.msg, match) {
			return r.msg
		}
	}
	h.tb.Fatalf("sluicegatetest: no message to %q%s was published; %s", topic, told(match), h.list(rows))
	return nil
}

// RequireNotPublished ends the test where Published returns a message.
func (h *Harness) RequireNotPublished(tx Queryer, topic string, match ...Match) {
	h.tb.Helper()
	var found []outboxRow
	for _, r := range h.outbox(tx) {
		if r.topic == topic && meets(r.msg, match) {
			found = append(found, r)
		}
	}
	if len(found) > 0 {
		h.tb.Fatalf("sluicegatetest: %d messages to %q%s were published; %s", len(found), topic, told(match), h.list(found))
	}
}

func told(match []Match) string {
	var b strings.Builder
	for _, m := range match {
		b.WriteString(" " + m.text)
	}
	return b.String()
}

// list tells what was published without showing it.
func (h *Harness) list(rows []outboxRow) string {
	const most = 20
	if len(rows) == 0 {
		return "the outbox is empty"
	}
	var b strings.Builder
	b.WriteString("the outbox has:")
	for _, r := range rows[:min(len(rows), most)] {
		fmt.Fprintf(&b, "\n\t%s: uuid %q", r.topic, r.msg.UUID)
		if key := r.msg.Metadata.Get(header.Key); key != "" {
			fmt.Fprintf(&b, ", key %q", key)
		}
		names := slices.Sorted(maps.Keys(r.msg.Metadata))
		names = slices.DeleteFunc(names, func(name string) bool { return name == header.Key })
		if len(names) > 0 {
			fmt.Fprintf(&b, ", metadata %s", strings.Join(names, " "))
		}
		if r.later {
			b.WriteString(", at a later time")
		}
		if h.cfg.ShowPayloads {
			fmt.Fprintf(&b, ", %q", r.msg.Payload)
		} else {
			fmt.Fprintf(&b, ", %d bytes", len(r.msg.Payload))
		}
	}
	if len(rows) > most {
		fmt.Fprintf(&b, "\n\tand %d more", len(rows)-most)
	}
	return b.String()
}

// outbox reads what was published, through tx.
func (h *Harness) outbox(tx Queryer) []outboxRow {
	h.tb.Helper()
	ctx, cancel := h.look()
	defer cancel()
	if tx == nil {
		tx = h.DB
	}
	rows, err := h.readOutbox(ctx, tx)
	later, laterErr := h.readLater(ctx, tx)
	if err == nil {
		err = laterErr
	}
	if err != nil {
		h.tb.Fatalf("sluicegatetest: read outbox: %v", blocked(ctx, err))
	}
	return slices.Concat(h.relayed, rows, later)
}

func (h *Harness) readOutbox(ctx context.Context, tx Queryer) ([]outboxRow, error) {
	return read(ctx, tx, "SELECT id, topic, message_key, message_uuid, payload, headers, traceparent, tracestate FROM "+
		h.names.Table(h.dialect, schema.Outbox)+" ORDER BY id", func(rows *sql.Rows) (r outboxRow, err error) {
		var s stored
		if err = rows.Scan(&r.id, &s.Topic, &s.Key, &s.UUID, &s.Payload, &s.Headers, &s.TraceParent, &s.TraceState); err != nil {
			return r, err
		}
		r.topic = s.Topic
		r.msg, err = s.message()
		return r, err
	})
}

// readLater reads what waits for its time, as forwarder writes it.
func (h *Harness) readLater(ctx context.Context, tx Queryer) ([]outboxRow, error) {
	return read(ctx, tx, "SELECT payload FROM "+h.names.Table(h.dialect, schema.Task)+
		" WHERE queue = 'publish' AND status = 'waiting' ORDER BY due_at, id", func(rows *sql.Rows) (outboxRow, error) {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return outboxRow{}, err
		}
		var s stored
		if err := json.Unmarshal(b, &s); err != nil {
			return outboxRow{}, fmt.Errorf("decode delayed message: %w", err)
		}
		msg, err := s.message()
		return outboxRow{topic: s.Topic, later: true, msg: msg}, err
	})
}

func read(ctx context.Context, tx Queryer, query string, scan func(*sql.Rows) (outboxRow, error)) (out []outboxRow, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err //nolint:wrapcheck // by outbox
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// stored is a message as the outbox, and a task of it, has it.
type stored struct {
	Topic       string `json:"topic"`
	Key         string `json:"key"`
	UUID        string `json:"uuid"`
	Payload     []byte `json:"payload"`
	Headers     string `json:"headers"`
	TraceParent string `json:"traceparent"`
	TraceState  string `json:"tracestate"`
}

func (s stored) message() (*message.Message, error) {
	msg := message.NewMessage(s.UUID, s.Payload)
	if err := json.Unmarshal([]byte(s.Headers), &msg.Metadata); err != nil {
		return nil, fmt.Errorf("decode metadata of message %q: %w", s.UUID, err)
	}
	for name, value := range map[string]string{header.Key: s.Key, header.TraceParent: s.TraceParent, header.TraceState: s.TraceState} {
		if value != "" {
			msg.Metadata.Set(name, value)
		}
	}
	return msg, nil
}
