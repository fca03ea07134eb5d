package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

func openFile(t *testing.T, path, params string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(context.Background(), "sqlite://"+path+"?"+params, broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func subscribe(t *testing.T, b *broker.Broker, group, topic string) <-chan *message.Message {
	t.Helper()
	ch, err := b.Group(group).Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t *testing.T, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg := <-ch:
		if msg == nil {
			t.Fatal("the subscription ended")
		}
		return msg
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return nil
	}
}

func publish(t *testing.T, b *broker.Broker, topic, key string, ids ...string) {
	t.Helper()
	var msgs []*message.Message
	for _, id := range ids {
		msg := message.NewMessage(id, nil)
		msg.Metadata.Set(header.Key, key)
		msgs = append(msgs, msg)
	}
	if err := b.Publish(topic, msgs...); err != nil {
		t.Fatal(err)
	}
}

// other is a pool of the application's own, as the outbox of the same file has.
func other(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestWhatIsWrongWithAURLIsSaid(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ raw, want string }{
		{"sqlite://", "names no file"},
		{"sqlite://:memory:", "loses everything at the end"},
		{"sqlite://" + dir, "is a folder"},
		{"sqlite://" + dir + "/no/x.db", "make it first"},
		{"sqlite://u:p@" + dir + "/x.db", "has a user"},
		{"sqlite://" + dir + "/x.db?busy_timeout=5", "parameter busy_timeout: must be a duration"},
		{"sqlite://" + dir + "/x.db?_pragma=journal_mode(OFF)", `unknown parameter "_pragma"`},
		{"sqlite://" + dir + "/x.db?retian=1h", "did you mean retain?"},
	} {
		if err := broker.Validate(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.raw, err, c.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Error("Validate made a file")
	}
	if err := broker.Validate("sqlite://x.db?consumer_group=stock"); err != nil {
		t.Errorf("a relative path: %v", err)
	}
}

func TestTheFileIsFreeWhileAHandlerIsAtWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	b, app := openFile(t, path, ""), other(t, path)
	if _, err := app.Exec("CREATE TABLE effect (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	ch := subscribe(t, b, "stock", "orders")
	publish(t, b, "orders", "a", "1")
	msg := next(t, ch)
	start := time.Now()
	for range 20 {
		if _, err := app.Exec("INSERT INTO effect VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("20 inserts beside a handler took %s", took)
	}
	msg.Ack()
}

// A publisher must not wait for a consumer that holds the one connection.
func TestBrokersOfOneFileShareItsConnection(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "queue.db"), filepath.Join(dir, "link.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no symbolic links here")
	}
	a, b := openFile(t, path, "poll_min=30s&poll_max=1m"), openFile(t, link, "prefetch=500")
	ch := subscribe(t, a, "stock", "orders")
	publish(t, b, "orders", "a", "warm up")
	next(t, ch).Ack()
	select {
	case <-ch:
		t.Fatal("a message from nowhere")
	case <-time.After(300 * time.Millisecond): // the reads that the first one brought about are over
	}
	publish(t, b, "orders", "a", "1")
	if msg := next(t, ch); msg.UUID != "1" { // within a poll of 30 s: it was woken
		t.Errorf("got %q", msg.UUID)
	} else {
		msg.Ack()
	}
}

func TestWhatAllGroupsHaveAckedIsRemovedAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	b, db := openFile(t, path, "retain=0s"), other(t, path)
	stock, points := subscribe(t, b, "stock", "orders"), subscribe(t, b, "points", "orders")
	publish(t, b, "orders", "a", "1", "2")
	publish(t, b, "nobody", "a", "3")
	for range 2 {
		next(t, stock).Ack()
	}
	next(t, points).Ack()
	left := next(t, points) // is not acked
	deadline := time.After(30 * time.Second)
	for {
		var list string
		if err := db.QueryRow("SELECT COALESCE(GROUP_CONCAT(message_uuid, ' '), '') FROM (SELECT message_uuid FROM sluicegate_queue_message ORDER BY id)").Scan(&list); err != nil {
			t.Fatal(err)
		}
		if list == "2 3" {
			break
		}
		if list != "1 2 3" {
			t.Fatalf("left are %q", list)
		}
		select {
		case <-deadline:
			t.Fatal("what was acked by all is still there")
		case <-time.After(50 * time.Millisecond):
		}
	}
	left.Ack()
}

// A long queue of a failing key must not fill the places of the others.
func TestAFailingKeyWithALongQueueDoesNotStarveOthers(t *testing.T) {
	b := openFile(t, filepath.Join(t.TempDir(), "queue.db"), "prefetch=20&concurrency=4&nack_delay=50ms&nack_delay_max=50ms")
	var ids []string
	for n := range 300 {
		ids = append(ids, fmt.Sprint("bad ", n))
	}
	publish(t, b, "orders", "bad", ids...)
	publish(t, b, "orders", "good", "good")
	ch := subscribe(t, b, "stock", "orders")
	for {
		msg := next(t, ch)
		if msg.UUID == "good" {
			msg.Ack()
			break
		}
		if msg.UUID != "bad 0" {
			t.Fatalf("%q overtook its key's first", msg.UUID)
		}
		msg.Nack()
	}
	for n := range 300 { // and when it heals, nothing of it was lost or moved
		if msg := next(t, ch); msg.UUID != fmt.Sprint("bad ", n) {
			t.Fatalf("got %q, want %d", msg.UUID, n)
		} else {
			msg.Ack()
		}
	}
}
