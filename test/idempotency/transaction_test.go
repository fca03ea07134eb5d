package idempotency_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/test/place"
)

var errOutside = errors.New("the shipping service answered 500")

// shop is a Transaction with a table of effects.
type shop struct {
	*place.Database
	t     *testing.T
	store *sqlstore.Store
	mw    message.HandlerMiddleware
}

func newShop(t *testing.T, d sqldialect.Dialect, addr string, opts *sql.TxOptions) *shop {
	t.Helper()
	s := &shop{Database: open(t, d, addr), t: t}
	s.Create(t, "effect", "order_id VARCHAR(64)")
	var err error
	s.store, err = sqlstore.New(s.DB, sqlstore.Config{Prefix: s.Prefix})
	place.Must(t, err)
	s.mw, err = idempotency.Transaction(idempotency.DB(s.DB, opts), s.store, idempotency.TxConfig{Handler: "stock", BusyWait: 10 * time.Second})
	place.Must(t, err)
	return s
}

func (s *shop) write(m *message.Message) error {
	tx, ok := idempotency.Native[*sql.Tx](m.Context())
	if !ok {
		return errors.New("no transaction in the context")
	}
	_, err := tx.ExecContext(m.Context(), "INSERT INTO "+s.Prefix+"effect VALUES ('"+m.UUID+"')")
	return err
}

func (s *shop) deliver(h func(*message.Message) error) error {
	_, err := s.mw(func(m *message.Message) ([]*message.Message, error) { return nil, h(m) })(message.NewMessage("1", nil))
	return err
}

func (s *shop) effects(want int) {
	s.t.Helper()
	var n int
	place.Must(s.t, s.QueryRow("SELECT COUNT(*) FROM "+s.Prefix+"effect").Scan(&n))
	if n != want {
		s.t.Fatalf("%d effects, want %d", n, want)
	}
}

func TestAHandlerThatWritesAndThenFailsOutsideSQLLeavesOneEffectWhenRetried(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		for range 3 {
			err := s.deliver(func(m *message.Message) error { return errors.Join(s.write(m), errOutside) })
			if !errors.Is(err, errOutside) {
				t.Fatalf("error %v, want the handler's", err)
			}
			s.effects(0)
		}
		place.Must(t, s.deliver(s.write))
		place.Must(t, s.deliver(s.write))
		s.effects(1)
	})
}

func TestAfterAnErrorOfSQLTheNextAttemptHasAFreshTransaction(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		err := s.deliver(func(m *message.Message) error {
			place.Must(t, s.write(m))
			tx, _ := idempotency.Native[*sql.Tx](m.Context())
			_, err := tx.ExecContext(m.Context(), "INSERT INTO no_such_table VALUES (1)")
			return err
		})
		if err == nil || failure.IsUnavailable(err) {
			t.Fatalf("error %v, want that of the statement", err)
		}
		s.effects(0)
		place.Must(t, s.deliver(s.write))
		s.effects(1)
	})
}

// PostgreSQL has aborted the transaction by then: what looks like a commit is a
// rollback, and must not pass for a success.
func TestAHandlerThatSwallowsAnErrorOfSQLHasNotSucceededOnPostgreSQL(t *testing.T) {
	s := newShop(t, sqldialect.PostgreSQL, "", nil)
	err := s.deliver(func(m *message.Message) error {
		place.Must(t, s.write(m))
		tx, _ := idempotency.Native[*sql.Tx](m.Context())
		_, _ = tx.ExecContext(m.Context(), "INSERT INTO no_such_table VALUES (1)")
		return nil
	})
	if err == nil {
		t.Fatal("an aborted transaction passed for a success")
	}
	s.effects(0)
	place.Must(t, s.deliver(s.write))
	s.effects(1)
}

func TestAfterATimeOutTheNextAttemptHasAFreshTransaction(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		s := newShop(t, d, "", nil)
		sleep := map[sqldialect.Dialect]string{sqldialect.PostgreSQL: "SELECT pg_sleep(1)", sqldialect.MySQL: "SELECT SLEEP(1)"}[d]
		err := s.deliver(func(m *message.Message) error {
			place.Must(t, s.write(m))
			ctx, cancel := context.WithTimeout(m.Context(), 50*time.Millisecond)
			defer cancel()
			tx, _ := idempotency.Native[*sql.Tx](m.Context())
			_, err := tx.ExecContext(ctx, sleep)
			return err
		})
		if err == nil {
			t.Fatal("the time-out passed for a success")
		}
		s.effects(0)
		place.Must(t, s.deliver(s.write))
		s.effects(1)
	})
}

func TestOfManyDeliveriesAtOnceOneHasTheEffectEvenIfTheFirstOnesFail(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		for name, opts := range map[string]*sql.TxOptions{"default": nil, "serializable": {Isolation: sql.LevelSerializable}} {
			t.Run(name, func(t *testing.T) {
				s := newShop(t, d, "", opts)
				var calls atomic.Int64
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						for { // as a retry outside would
							err := s.deliver(func(m *message.Message) error {
								n := calls.Add(1)
								if err := s.write(m); err != nil {
									return err
								}
								if n <= 3 {
									return errOutside
								}
								return nil
							})
							if err == nil {
								return
							}
							if !errors.Is(err, errOutside) {
								t.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				s.effects(1)
				if n := calls.Load(); n != 4 {
					t.Errorf("the handler ran %d times, want 4: three failures and a success", n)
				}
			})
		}
	})
}

func TestADatabaseThatGoesAwaySpendsNoAttemptBeforeTheHandlerAndLosesNothingInIt(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		w := newWire(t, place.URL(t, variables[d]).Host)
		s := newShop(t, d, w.addr(), nil)
		w.setCut(true)
		ran := false
		err := s.deliver(func(*message.Message) error { ran = true; return nil })
		if !failure.IsUnavailable(err) || ran {
			t.Fatalf("ran: %v, error %v; want one marked as unavailable before the handler", ran, err)
		}
		w.setCut(false)
		until(t, s.Ping)
		err = s.deliver(func(m *message.Message) error {
			place.Must(t, s.write(m))
			w.setCut(true) // before the commit
			return nil
		})
		if err == nil {
			t.Fatal("a commit that cannot have arrived passed for a success")
		}
		w.setCut(false)
		until(t, s.Ping)
		place.Must(t, s.deliver(s.write))
		s.effects(1)
	})
}
