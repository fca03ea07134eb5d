package forwarder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgnotify"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

type received chan string

func (r received) Publish(_ string, msgs ...*message.Message) error {
	for _, msg := range msgs {
		r <- msg.UUID
	}
	return nil
}
func (received) Close() error { return nil }

// The relay looks once an hour: what arrives earlier was signalled. Both
// outboxes have a pool of their own, as two processes have.
func TestPostgreSQLWakesARelayInAnotherProcess(t *testing.T) {
	writerDB, relayDB := openPostgres(t), openPostgres(t)
	prefix := fmt.Sprintf("n%d_", time.Now().UnixNano()%1e9)
	box := func(i int) *forwarder.Outbox {
		db := writerDB
		if i == 1 {
			db = relayDB
		}
		signal, err := pgnotify.New(db, pgnotify.Config{Channel: strings.TrimSuffix(prefix, "_")})
		if err != nil {
			t.Fatal(err)
		}
		b, err := forwarder.New(db, forwarder.Config{Prefix: prefix, Signal: signal, Relay: forwarder.RelayConfig{
			PollMin: time.Hour, PollMax: time.Hour, RetryMin: time.Millisecond,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	writer, relaying := box(0), box(1)
	if err := writer.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range schema.Tables() {
			if _, err := writerDB.Exec("DROP TABLE IF EXISTS " + (sqldialect.Names{Prefix: prefix}).Table(sqldialect.PostgreSQL, name)); err != nil {
				t.Error(err)
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	out := make(received, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := relaying.Relay(ctx, out); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(cancel)
	put := func(id string) {
		t.Helper()
		tx, err := writerDB.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(writer.Publish(ctx, tx, "orders", message.NewMessage(id, nil)), tx.Commit()); err != nil {
			t.Fatal(err)
		}
		writer.Wake()
		select {
		case got := <-out:
			if got != id {
				t.Errorf("got %s, want %s", got, id)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: the relay was not woken", id)
		}
	}
	put("first")
	listeners := "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN " + strings.TrimSuffix(prefix, "_") + "'"
	n, tick := 0, time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); n == 0; <-tick.C { // the first message may have been quicker
		if err := writerDB.QueryRow(listeners).Scan(&n); err != nil || n > 1 || time.Now().After(end) {
			t.Fatalf("%d connections listen, want 1 (%v)", n, err)
		}
	}
	put("after the connection was cut")
	for i := range 50 {
		put(fmt.Sprint(i))
	}
}
