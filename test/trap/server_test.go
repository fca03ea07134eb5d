package trap_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	wmforwarder "github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

const (
	// soon is what a thing may take that must happen, on a busy machine.
	soon = 30 * time.Second
	// while is how long a thing is watched that must not happen.
	while = 1500 * time.Millisecond
)

// server is a real database, with tables of the test's own.
type server struct {
	*sql.DB
	dialect sqldialect.Dialect
	prefix  string
}

func postgres(t *testing.T) *server {
	t.Helper()
	return open(t, "POSTGRES_URL", sqldialect.PostgreSQL)
}
func mariadb(t *testing.T) *server { t.Helper(); return open(t, "MYSQL_URL", sqldialect.MySQL) }

func open(t *testing.T, variable string, d sqldialect.Dialect) *server {
	t.Helper()
	url := place.URL(t, variable)
	s := &server{DB: must(database.Open(url.String()))(t), dialect: d, prefix: "trap_" + strings.ToLower(rand.Text()[:10]) + "_"}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := schema.Up(t.Context(), s.DB, d, sqldialect.Names{Prefix: s.prefix}); err != nil {
		t.Fatal(err)
	}
	s.exec(t, "CREATE TABLE "+s.prefix+"effect (id VARCHAR(64) NOT NULL)")
	t.Cleanup(func() {
		for _, table := range append(schema.Tables(), "effect") {
			s.exec(t, "DROP TABLE IF EXISTS "+s.prefix+table)
		}
	})
	return s
}

// exec runs a statement on a context that the end of the test does not cancel.
func (s *server) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := s.ExecContext(context.WithoutCancel(t.Context()), query); err != nil {
		t.Errorf("%s: %v", query, err)
	}
}

func (s *server) effects(t *testing.T) int {
	t.Helper()
	var n int
	if err := s.QueryRow("SELECT COUNT(*) FROM " + s.prefix + "effect").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// relay is an outbox with the process that empties it: Watermill's forwarder on
// its SQL Pub/Sub, or ours.
type relay interface {
	// publish writes a message with the UUID, as payload and key too, to the
	// outbox within tx.
	publish(tx *sql.Tx, topic, uuid string) error
	// run relays to pub until stop, which waits for the end.
	run(t *testing.T, pub message.Publisher) (stop func())
}

// commit writes messages, each in a transaction of its own.
func commit(t *testing.T, s *server, r relay, uuids ...string) {
	t.Helper()
	for _, uuid := range uuids {
		tx := must(s.BeginTx(t.Context(), nil))(t)
		if err := r.publish(tx, "topic", uuid); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// both returns the two relays on a server.
func both(t *testing.T, s *server, cfg forwarder.RelayConfig) (plain, ours relay) {
	t.Helper()
	return newPlain(t, s), newOurs(t, s, cfg)
}

type plainRelay struct {
	s     *server
	topic string
}

func (p *plainRelay) adapters() (wmsql.SchemaAdapter, wmsql.OffsetsAdapter) {
	if p.s.dialect == sqldialect.MySQL {
		return wmsql.DefaultMySQLSchema{}, wmsql.DefaultMySQLOffsetsAdapter{}
	}
	return wmsql.DefaultPostgreSQLSchema{}, wmsql.DefaultPostgreSQLOffsetsAdapter{}
}

func newPlain(t *testing.T, s *server) *plainRelay {
	t.Helper()
	p := &plainRelay{s: s, topic: s.prefix + "forward"}
	sub := p.subscriber(t)
	defer func() { _ = sub.Close() }()
	if err := sub.SubscribeInitialize(p.topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, table := range []string{"watermill_" + p.topic, "watermill_offsets_" + p.topic} {
			s.exec(t, "DROP TABLE IF EXISTS "+s.dialect.Quote(table))
		}
	})
	return p
}

func (p *plainRelay) subscriber(t *testing.T) *wmsql.Subscriber {
	t.Helper()
	messages, offsets := p.adapters()
	return must(wmsql.NewSubscriber(p.s.DB, wmsql.SubscriberConfig{
		ConsumerGroup: "group", SchemaAdapter: messages, OffsetsAdapter: offsets,
		PollInterval: 10 * time.Millisecond, ResendInterval: 10 * time.Millisecond, RetryInterval: 10 * time.Millisecond,
	}, watermill.NopLogger{}))(t)
}

func (p *plainRelay) publish(tx *sql.Tx, topic, uuid string) error {
	messages, _ := p.adapters()
	pub, err := wmsql.NewPublisher(tx, wmsql.PublisherConfig{SchemaAdapter: messages}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	return wmforwarder.NewPublisher(pub, wmforwarder.PublisherConfig{ForwarderTopic: p.topic}).
		Publish(topic, message.NewMessage(uuid, []byte(uuid)))
}

func (p *plainRelay) run(t *testing.T, pub message.Publisher) func() {
	t.Helper()
	f := must(wmforwarder.NewForwarder(p.subscriber(t), pub, watermill.NopLogger{}, wmforwarder.Config{ForwarderTopic: p.topic}))(t)
	done := make(chan error, 1)
	go func() { done <- f.Run(context.Background()) }()
	<-f.Running()
	return onceAtEnd(t, func() {
		_ = f.Close()
		<-done
	})
}

type ourRelay struct{ box *forwarder.Outbox }

func newOurs(t *testing.T, s *server, cfg forwarder.RelayConfig) *ourRelay {
	t.Helper()
	return &ourRelay{must(forwarder.New(s.DB, forwarder.Config{Prefix: s.prefix, Relay: cfg}))(t)}
}

func (o *ourRelay) publish(tx *sql.Tx, topic, uuid string) error {
	msg := message.NewMessage(uuid, []byte(uuid))
	forwarder.SetKey(msg, uuid)
	return o.box.Publish(context.Background(), tx, topic, msg)
}

func (o *ourRelay) run(t *testing.T, pub message.Publisher) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.box.Relay(ctx, pub) }()
	return onceAtEnd(t, func() {
		cancel()
		<-done
	})
}

// onceAtEnd makes stop run at the latest at the end of the test, and once.
func onceAtEnd(t *testing.T, stop func()) func() {
	t.Helper()
	f := sync.OnceFunc(stop)
	t.Cleanup(f)
	return f
}

// broker is a publisher that asks decide about each message and tells what it
// took, in order.
type broker struct {
	decide func(topic, uuid string) error
	took   chan string // UUIDs
}

func newBroker(decide func(topic, uuid string) error) *broker {
	return &broker{decide: decide, took: make(chan string, 10_000)}
}

func (b *broker) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		if b.decide != nil {
			if err := b.decide(topic, string(m.Payload)); err != nil {
				return err
			}
		}
		b.took <- string(m.Payload)
	}
	return nil
}

func (*broker) Close() error { return nil }

// Check says that the broker is there, as ours can say: what it refuses then is
// the message's own fault.
func (*broker) Check(context.Context) error { return nil }

// timeLimit returns a channel that gives a value after d.
func timeLimit(t *testing.T, d time.Duration) <-chan time.Time {
	t.Helper()
	timer := time.NewTimer(d)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}

// within waits until c gives a value.
func within[T any](t *testing.T, c <-chan T, d time.Duration) (v T, ok bool) {
	t.Helper()
	select {
	case v = <-c:
		return v, true
	case <-timeLimit(t, d):
		return v, false
	}
}
