package forwarder_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestAllProblemsOfAConfigurationAreReportedByField(t *testing.T) {
	db := sqlitetest.Durable(t)
	_, err := forwarder.New(db, forwarder.Config{
		Schema: "x", Prefix: `a";drop--`, MaxMessageBytes: -1,
		Relay: forwarder.RelayConfig{
			BatchSize: 20000, BatchBytes: -1, Lanes: 5, Concurrency: -1, MaxAttempts: -1,
			Lease: time.Millisecond, PublishTimeout: time.Hour, StopTimeout: -1,
			PollMin: time.Second, PollMax: time.Millisecond, RetryMin: time.Second, RetryMax: time.Millisecond,
			FloorLag: -1, Sweep: -1, Retain: -1, RetainFailed: -1, Linger: -1,
			Park: forwarder.ParkConfig{Attempts: -2, First: -1, Every: 1 << 62},
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{
		"Schema", "Prefix", "MaxMessageBytes", "BatchSize", "BatchBytes", "Lanes", "Concurrency", "MaxAttempts", "Lease",
		"PublishTimeout", "StopTimeout", "PollMax", "RetryMax", "FloorLag", "Sweep", "Retain", "RetainFailed", "Linger",
		"Park.Attempts", "Park.First", "Park.Every",
	} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s", field)
		}
	}
}

func TestNilArgumentsAreErrors(t *testing.T) {
	if _, err := forwarder.New(nil, forwarder.Config{}); err == nil {
		t.Error("a nil database was accepted")
	}
	o, err := forwarder.New(sqlitetest.Durable(t), forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.NewRelay(nil, forwarder.RelayConfig{}); err == nil {
		t.Error("a nil publisher was accepted")
	}
	if err := o.Publish(t.Context(), nil, "orders", message.NewMessage("a", nil)); err == nil {
		t.Error("a nil transaction was accepted")
	}
	if _, err := o.NewTakeover(nil, forwarder.TakeoverConfig{}); err == nil {
		t.Error("a nil publisher was accepted for a takeover")
	}
	if _, err := o.NewTakeover(discard{}, forwarder.TakeoverConfig{}); err == nil {
		t.Error("a takeover on SQLite was accepted")
	}
}

type discard struct{}

func (discard) Publish(string, ...*message.Message) error { return nil }
func (discard) Close() error                              { return nil }

// contextKeeper remembers the context that a statement was run with.
type contextKeeper struct {
	forwarder.Executor
	got context.Context
}

func (k *contextKeeper) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	k.got = ctx
	return k.Executor.ExecContext(ctx, query, args...)
}

func TestTheCallersContextReachesTheDatabase(t *testing.T) {
	db := sqlitetest.Durable(t)
	o, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	k := &contextKeeper{Executor: db}
	if err := o.Publish(ctx, k, "orders", message.NewMessage("a", nil)); err != nil || k.got != ctx {
		t.Errorf("error %v, own context: %v", err, k.got == ctx)
	}
	cancel()
	if err := o.Publish(ctx, k, "orders", message.NewMessage("b", nil)); err == nil {
		t.Error("a cancelled context wrote")
	}
}

func TestTheKeyOfTheConfigurationComesFirst(t *testing.T) {
	db := sqlitetest.Durable(t)
	o, err := forwarder.New(db, forwarder.Config{Key: func(topic string, m *message.Message) string {
		return map[string]string{"a": topic + "/own"}[m.UUID]
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b, c := message.NewMessage("a", nil), message.NewMessage("b", nil), message.NewMessage("c", nil)
	forwarder.SetKey(a, "set")
	forwarder.SetKey(b, "set")
	if err := o.Publish(t.Context(), db, "orders", a, b, c); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := db.QueryRow("SELECT group_concat(message_key, ',') FROM (SELECT message_key FROM sluicegate_outbox ORDER BY id)").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != "orders/own,set," {
		t.Errorf("keys are %q", got)
	}
}
