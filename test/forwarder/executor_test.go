package forwarder_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/test/place"
)

var errRollback = errors.New("roll back")

// written returns the keys in the outbox and that their payloads are told apart.
func (w *theirs) written() []string {
	w.t.Helper()
	rows, err := w.db.Query("SELECT message_key, payload IS NULL FROM " + w.prefix + "outbox ORDER BY id")
	w.must(err)
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var key string
		var null bool
		w.must(rows.Scan(&key, &null))
		if null != (key == "nil") {
			w.t.Errorf("key %q: payload is NULL: %v", key, null)
		}
		out = append(out, key)
	}
	w.must(rows.Err())
	return out
}

func outboxMessage(key string, payload []byte) *message.Message {
	m := message.NewMessage("", payload)
	m.Metadata.Set("a", "b\x00")
	forwarder.SetKey(m, key)
	return m
}

func TestAPgxTransactionLendsItself(t *testing.T) {
	w := newTheirs(t, openPostgres(t), false)
	ctx := t.Context()
	pool, err := pgxpool.New(ctx, place.URL(t, "POSTGRES_URL").String())
	w.must(err)
	defer pool.Close()

	tx, err := pool.Begin(ctx)
	w.must(err)
	w.must(w.outbox.Publish(ctx, pgxtx.Wrap(tx), "orders", outboxMessage("nil", nil), outboxMessage("bytes", []byte{0, 255})))
	w.must(tx.Commit(ctx))

	run := pgxtx.Runner(pool)
	for _, end := range []error{errRollback, nil} {
		err := run.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			if native, ok := pgxtx.From(ctx); !ok || native == nil {
				t.Error("the context does not carry the pgx.Tx")
			}
			var n int
			if err := tx.QueryRow(ctx, "SELECT 1 WHERE false").Scan(&n); !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("no row gives %v, want sql.ErrNoRows", err)
			}
			if err := w.outbox.Publish(ctx, tx, "orders", outboxMessage("runner", []byte{})); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Errorf("InTx returned %v, want %v", err, end)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = run.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			_ = w.outbox.Publish(ctx, tx, "orders", outboxMessage("panic", []byte{}))
			panic("x")
		})
	}()
	if got := w.written(); !slices.Equal(got, []string{"nil", "bytes", "runner"}) {
		t.Errorf("the outbox has %v", got)
	}
	if n := pool.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections are still in use", n)
	}
}

func TestAGORMTransactionLendsItself(t *testing.T) {
	w := newTheirs(t, openPostgres(t), false)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: w.db}), &gorm.Config{Logger: logger.Discard})
	w.must(err)
	for _, end := range []error{errRollback, nil} {
		err := g.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
			// tx.Statement.ConnPool is the *sql.Tx behind GORM's transaction.
			if err := w.outbox.Publish(tx.Statement.Context, tx.Statement.ConnPool, "orders", outboxMessage("gorm", []byte("{}"))); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Errorf("Transaction returned %v, want %v", err, end)
		}
	}
	if got := w.written(); !slices.Equal(got, []string{"gorm"}) {
		t.Errorf("the outbox has %v", got)
	}
}

func TestASchemaOfItsOwnHoldsTheTables(t *testing.T) {
	db := openPostgres(t)
	schema := "s" + randomID()
	t.Cleanup(func() { _, _ = db.Exec("DROP SCHEMA IF EXISTS " + schema + " CASCADE") })
	o, err := forwarder.New(db, forwarder.Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.Publish(t.Context(), db, "orders", outboxMessage("a", nil)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pub := &stopping{stop: stop}
	if err := o.Relay(ctx, pub); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM " + schema + ".sluicegate_outbox_history").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d delivered in the schema (%v), want 1", n, err)
	}
}

// stopping stops the relay with the first message.
type stopping struct{ stop func() }

func (s *stopping) Publish(string, ...*message.Message) error { s.stop(); return nil }
func (*stopping) Close() error                                { return nil }
