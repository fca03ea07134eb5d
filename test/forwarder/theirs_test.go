package forwarder_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	wforwarder "github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

// theirs is a table of Watermill's own forwarder, with an outbox of ours beside.
type theirs struct {
	t      *testing.T
	db     *sql.DB
	mysql  bool
	topic  string
	outbox *forwarder.Outbox
	prefix string
}

func eachServer(t *testing.T, check func(t *testing.T, w *theirs)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { check(t, newTheirs(t, openPostgres(t), false)) })
	t.Run("MariaDB", func(t *testing.T) { check(t, newTheirs(t, openMySQL(t), true)) })
}

func newTheirs(t *testing.T, db *sql.DB, mysql bool) *theirs {
	t.Helper()
	id := randomID()
	w := &theirs{t: t, db: db, mysql: mysql, topic: "fwd_" + id, prefix: "t" + id + "_"}
	o, err := forwarder.New(db, forwarder.Config{Prefix: w.prefix})
	w.must(err)
	w.must(o.Migrate(t.Context()))
	w.outbox = o
	t.Cleanup(func() {
		for _, name := range schema.Tables() {
			_, _ = db.Exec("DROP TABLE IF EXISTS " + w.prefix + name)
		}
		_, _ = db.Exec("DROP TABLE IF EXISTS watermill_" + w.topic)
		_, _ = db.Exec("DROP TABLE IF EXISTS watermill_offsets_" + w.topic)
	})
	sub := w.subscriber()
	w.must(sub.SubscribeInitialize(w.topic))
	w.must(sub.Close())
	return w
}

func (w *theirs) dialect() sqldialect.Dialect {
	if w.mysql {
		return sqldialect.MySQL
	}
	return sqldialect.PostgreSQL
}

// recorded opens the database behind a driver that records.
func (w *theirs) recorded() (*sql.DB, *place.Recorder) {
	w.t.Helper()
	driver, dsn := place.Address(w.t, w.dialect())
	return place.RecordAt(w.t, w.dialect(), driver, dsn)
}

func randomID() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func (w *theirs) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *theirs) subscriber() *wsql.Subscriber {
	w.t.Helper()
	cfg := wsql.SubscriberConfig{SchemaAdapter: wsql.DefaultPostgreSQLSchema{}, OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{}}
	if w.mysql {
		cfg.SchemaAdapter, cfg.OffsetsAdapter = wsql.DefaultMySQLSchema{}, wsql.DefaultMySQLOffsetsAdapter{}
	}
	sub, err := wsql.NewSubscriber(w.db, cfg, nil)
	w.must(err)
	return sub
}

// write publishes numbered messages through their publisher in tx.
func (w *theirs) write(tx *sql.Tx, from, to int) {
	w.t.Helper()
	cfg := wsql.PublisherConfig{SchemaAdapter: wsql.DefaultPostgreSQLSchema{}}
	if w.mysql {
		cfg.SchemaAdapter = wsql.DefaultMySQLSchema{}
	}
	pub, err := wsql.NewPublisher(tx, cfg, nil)
	w.must(err)
	fwd := wforwarder.NewPublisher(pub, wforwarder.PublisherConfig{ForwarderTopic: w.topic})
	for n := from; n < to; n++ {
		m := message.NewMessage(fmt.Sprintf("m%d", n), fmt.Appendf(nil, "{\x00%d}", n))
		m.Metadata.Set("number", fmt.Sprint(n))
		w.must(fwd.Publish("orders", m))
	}
}

func (w *theirs) commit(from, to int) {
	w.t.Helper()
	tx, err := w.db.Begin()
	w.must(err)
	w.write(tx, from, to)
	w.must(tx.Commit())
}

// run starts their forwarder and returns how to stop it.
func (w *theirs) run(pub message.Publisher) (stop func()) {
	w.t.Helper()
	sub := w.subscriber()
	f, err := wforwarder.NewForwarder(sub, pub, nopLogger{}, wforwarder.Config{ForwarderTopic: w.topic, CloseTimeout: time.Second})
	w.must(err)
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(context.Background()) })
	<-f.Running()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = f.Close() // its router closes sub; a second Close of sub would race with that
			wg.Wait()
		})
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *theirs) offset() (n int64) {
	w.t.Helper()
	err := w.db.QueryRow("SELECT COALESCE(MAX(offset_acked), 0) FROM watermill_offsets_" + w.topic).Scan(&n)
	w.must(err)
	return n
}

func (w *theirs) config() forwarder.TakeoverConfig {
	return forwarder.TakeoverConfig{
		ForwarderTopic: w.topic, WatchFor: 1500 * time.Millisecond, GapWait: 200 * time.Millisecond,
		Relay: forwarder.RelayConfig{BatchSize: 30, RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, PollMin: time.Millisecond, PollMax: 20 * time.Millisecond},
	}
}

// takeover runs ours until the test ends.
func (w *theirs) takeover(pub message.Publisher, cfg forwarder.TakeoverConfig) (*forwarder.Takeover, func() error) {
	w.t.Helper()
	tk, err := w.outbox.NewTakeover(pub, cfg)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tk.Run(ctx) }()
	var once sync.Once
	var result error
	stop := func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	w.t.Cleanup(func() { _ = stop() })
	return tk, stop
}

// refused waits for a Run that ends by itself.
func (w *theirs) refused(pub message.Publisher, cfg forwarder.TakeoverConfig) error {
	w.t.Helper()
	tk, err := w.outbox.NewTakeover(pub, cfg)
	w.must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = tk.Run(ctx)
	if ctx.Err() != nil {
		w.t.Fatal("the takeover went on for 20 s")
	}
	return err
}

// sink records numbers in the order of their arrival.
type sink struct {
	mu     sync.Mutex
	got    []string
	answer func(m *message.Message) error
}

func (s *sink) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		if s.answer != nil {
			if err := s.answer(m); err != nil {
				return err
			}
		}
		if n := m.Metadata.Get("number"); topic != "orders" || m.UUID != "m"+n || string(m.Payload) != "{\x00"+n+"}" {
			return failure.Permanent(errors.New("message changed on its way"))
		}
		s.mu.Lock()
		s.got = append(s.got, m.UUID)
		s.mu.Unlock()
	}
	return nil
}

func (*sink) Close() error { return nil }

func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func numbers(from, to int) []string {
	var out []string
	for n := from; n < to; n++ {
		out = append(out, fmt.Sprintf("m%d", n))
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not true within 30 s: %s", what)
		}
	}
}
