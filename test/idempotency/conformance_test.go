// Package idempotency_test holds the idempotency stores and middlewares against
// real servers: Redis, PostgreSQL and MariaDB.
package idempotency_test

import (
	"context"
	"database/sql"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
	redisstore "github.com/sluicegate/sluicegate/internal/idemstore/redis"
	sqlstore "github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestTheRedisStoreConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Unit: 200 * time.Millisecond, RealTime: true,
		New: func(t *testing.T) storetest.Fixture {
			t.Helper()
			w := newWire(t, place.URL(t, "REDIS_URL").Host)
			client, prefix := redisClient(t, w.addr())
			store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
			place.Must(t, err)
			other, err := redisstore.New(client, redisstore.Config{Prefix: prefix + "o"})
			place.Must(t, err)
			return storetest.Fixture{
				Store: store, Other: other,
				Advance: func(d time.Duration) { pass(d) },
				Away: func() func() {
					w.setCut(true)
					return func() {
						w.setCut(false)
						until(t, func() error { return client.Ping(context.Background()).Err() })
					}
				},
			}
		},
	})
}

func TestRedisDoesNotEvictHere(t *testing.T) {
	client, prefix := redisClient(t, "")
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	place.Must(t, err)
	place.Must(t, store.Check(t.Context()))
}

// sqlHarness is a store in tables of its own and one in a neighbour's, on a
// clock that the test moves, behind a wire that it cuts. The cases share the
// tables and begin with none of the records.
func sqlHarness(t *testing.T, d sqldialect.Dialect, adapt func(db *sql.DB, s *sqlstore.Store) idemstore.Store) storetest.Harness {
	t.Helper()
	w := newWire(t, place.URL(t, variables[d]).Host)
	db := open(t, d, w.addr())
	elsewhere := open(t, d, w.addr()).Prefix
	var offset atomic.Int64
	store := func(prefix string) idemstore.Store {
		s, err := sqlstore.New(db.DB, sqlstore.Config{Prefix: prefix, Offset: func() time.Duration { return time.Duration(offset.Load()) }})
		place.Must(t, err)
		return adapt(db.DB, s)
	}
	f := storetest.Fixture{
		Advance: func(d time.Duration) { offset.Add(int64(d)) },
		Away: func() func() {
			w.setCut(true)
			return func() {
				w.setCut(false)
				until(t, db.Ping)
			}
		},
	}
	return storetest.Harness{New: func(t *testing.T) storetest.Fixture {
		t.Helper()
		for _, prefix := range []string{db.Prefix, elsewhere} {
			_, err := db.ExecContext(t.Context(), "DELETE FROM "+prefix+"inbox")
			place.Must(t, err)
		}
		f := f
		f.Store, f.Other = store(db.Prefix), store(elsewhere)
		t.Cleanup(func() {
			for _, s := range []idemstore.Store{f.Store, f.Other} {
				if c, ok := s.(io.Closer); ok {
					_ = c.Close()
				}
			}
		})
		return f
	}}
}

func TestTheSQLStoreConforms(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		storetest.Run(t, sqlHarness(t, d, func(_ *sql.DB, s *sqlstore.Store) idemstore.Store { return s }))
	})
}

func TestTheSQLStoreConformsInTheHandlersTransaction(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		for name, opts := range map[string]*sql.TxOptions{
			"at the default isolation": nil,
			"at read committed":        {Isolation: sql.LevelReadCommitted},
			"at repeatable read":       {Isolation: sql.LevelRepeatableRead},
			"serializable":             {Isolation: sql.LevelSerializable},
		} {
			t.Run(name, func(t *testing.T) {
				h := sqlHarness(t, d, func(db *sql.DB, s *sqlstore.Store) idemstore.Store { return storetest.Tx(db, opts, s) })
				h.Lacks = storetest.TxLacks
				storetest.Run(t, h)
			})
		}
	})
}

func TestTheSQLStoreClaimsInBatches(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		db := open(t, d, "")
		var offset atomic.Int64
		s, err := sqlstore.New(db.DB, sqlstore.Config{Prefix: db.Prefix, Offset: func() time.Duration { return time.Duration(offset.Load()) }})
		place.Must(t, err)
		storetest.RunBatch(t, db.DB, d.TxOptions(), s, func(by time.Duration) { offset.Add(int64(by)) })
	})
}
