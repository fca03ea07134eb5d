package forwardertest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Harness is what the suite runs against.
type Harness struct {
	// DB is the database. It stays open.
	DB *sql.DB
	// Concurrent says that several transactions may be open at once, which
	// SQLite cannot.
	Concurrent bool
	// Wrap, where it is set, stands between each relay and its broker. The proof
	// that the suite can fail breaks things there.
	Wrap func(message.Publisher) message.Publisher
	// Tune, where it is set, changes the configuration of each relay.
	Tune func(*forwarder.RelayConfig)
	// Slow says that the database is slow, as SQLite is under the race detector:
	// fewer messages are sent where their number is not the point.
	Slow bool
	// Patience is how long a guarantee may take to show on a slow machine.
	// Default 30 s.
	Patience time.Duration
}

func (h Harness) patience() time.Duration {
	if h.Patience > 0 {
		return h.Patience
	}
	return 30 * time.Second
}

// Case is one guarantee.
type Case struct {
	Name string
	// Concurrent cases need a database with several open transactions.
	Concurrent bool
	Run        func(tb testing.TB, h Harness)
}

// Cases returns the whole suite.
func Cases() []Case {
	var out []Case
	for _, list := range [][]Case{writeCases, relayCases, orderCases, backlogCases, faultCases, refusalCases, parkCases, delayedCases, expiryCases, tableCases} {
		out = append(out, list...)
	}
	return out
}

// Run runs the whole suite.
func Run(t *testing.T, h Harness) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if c.Concurrent && !h.Concurrent {
				t.Skip("the database has one transaction at a time")
			}
			c.Run(t, h)
		})
	}
}

// box is an outbox of one case.
type box struct {
	*forwarder.Outbox
	tb     testing.TB
	h      Harness
	db     *sql.DB
	d      sqldialect.Dialect
	names  sqldialect.Names
	ctx    context.Context
	outbox string // quoted table names
	hist   string
	lease  string

	mu    sync.Mutex
	gates []*gate
}

// gate holds publishers back until it is opened. The end of the case opens it,
// so that a case that fails does not hang.
type gate struct {
	ch   chan struct{}
	once sync.Once
}

func (g *gate) open() { g.once.Do(func() { close(g.ch) }) }

func (b *box) gate() *gate {
	g := &gate{ch: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gates = append(b.gates, g)
	return g
}

func (b *box) openGates() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gates {
		g.open()
	}
}

func open(tb testing.TB, h Harness) *box {
	tb.Helper()
	return openWith(tb, h, forwarder.Config{})
}

func openWith(tb testing.TB, h Harness, cfg forwarder.Config) *box {
	tb.Helper()
	d, err := sqldialect.Detect(h.DB)
	must(tb, err)
	if cfg.Prefix == "" {
		cfg.Prefix = randomPrefix()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	o, err := forwarder.New(h.DB, cfg)
	must(tb, err)
	n := sqldialect.Names{Prefix: cfg.Prefix}
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	must(tb, o.Migrate(ctx))
	tb.Cleanup(func() { dropTables(tb, h.DB, d, n) })
	return &box{
		Outbox: o, tb: tb, h: h, db: h.DB, d: d, names: n, ctx: ctx,
		outbox: n.Table(d, schema.Outbox), hist: n.Table(d, schema.OutboxHistory), lease: n.Table(d, schema.Lease),
	}
}

func randomPrefix() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b)
	return "t" + hex.EncodeToString(b) + "_"
}

func dropTables(tb testing.TB, db *sql.DB, d sqldialect.Dialect, n sqldialect.Names) {
	for _, name := range schema.Tables() {
		if _, err := db.Exec("DROP TABLE IF EXISTS " + n.Table(d, name)); err != nil {
			tb.Errorf("drop table: %v", err)
		}
	}
}

// quick is a relay configuration whose waits are short.
func quick() forwarder.RelayConfig {
	return forwarder.RelayConfig{
		Lease: 2 * time.Second, PollMin: time.Millisecond, PollMax: 20 * time.Millisecond,
		RetryMin: 5 * time.Millisecond, RetryMax: 50 * time.Millisecond, StopTimeout: 2 * time.Second,
		Sweep: 100 * time.Millisecond, Park: forwarder.ParkConfig{Off: true},
	}
}

// running is a relay at work.
type running struct {
	*forwarder.Relay
	cancel func() // tells Run to return
	stop   func() // the same, and waits for it
}

func (b *box) relay(pub message.Publisher, cfg forwarder.RelayConfig) running {
	b.tb.Helper()
	if b.h.Wrap != nil {
		pub = b.h.Wrap(pub)
	}
	if b.h.Tune != nil {
		b.h.Tune(&cfg)
	}
	r, err := b.NewRelay(pub, cfg)
	must(b.tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.tb.Errorf("relay ended: %v", err)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	b.tb.Cleanup(func() { b.openGates(); stop() })
	return running{Relay: r, cancel: cancel, stop: stop}
}

// put publishes in a transaction of its own.
func (b *box) put(topic string, msgs ...*message.Message) {
	b.tb.Helper()
	tx, err := b.db.BeginTx(b.ctx, nil)
	must(b.tb, err)
	defer func() { _ = tx.Rollback() }()
	must(b.tb, b.Publish(b.ctx, tx, topic, msgs...))
	must(b.tb, tx.Commit())
	b.Wake()
}

func (b *box) count(query string) int {
	b.tb.Helper()
	var n int
	must(b.tb, b.db.QueryRowContext(b.ctx, query).Scan(&n))
	return n
}

func (b *box) undelivered() int { return b.count("SELECT COUNT(*) FROM " + b.outbox) }

func (b *box) history(status string) int {
	return b.count("SELECT COUNT(*) FROM " + b.hist + " WHERE status = '" + status + "'")
}

// drained waits until nothing is undelivered.
func (b *box) drained() {
	b.tb.Helper()
	b.eventually("the outbox is empty", func() bool { return b.undelivered() == 0 })
}

func (b *box) eventually(what string, ok func() bool) {
	b.tb.Helper()
	deadline := time.NewTimer(b.h.patience())
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.tb.Fatalf("not true within %v: %s", b.h.patience(), what)
		}
	}
}

// receive waits for ch.
func receive[T any](b *box, what string, ch <-chan T) T {
	b.tb.Helper()
	timer := time.NewTimer(b.h.patience())
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		b.tb.Fatalf("waited %v in vain: %s", b.h.patience(), what)
		panic("unreachable")
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// keyed returns a message whose payload is its number within its key.
func keyed(key string, number int) *message.Message {
	m := message.NewMessage(fmt.Sprintf("%s-%d", key, number), fmt.Appendf(nil, "%d", number))
	forwarder.SetKey(m, key)
	return m
}
