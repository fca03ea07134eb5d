package schedule_test

import (
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schedule/scheduletest"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func conforms(t *testing.T, db *place.Database, opts *sql.TxOptions) {
	t.Helper()
	scheduletest.Run(t, scheduletest.Harness{New: func(t *testing.T) scheduletest.Fixture {
		t.Helper()
		db.Do(t, "DELETE FROM "+db.Prefix+"task")
		var at atomic.Int64
		at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
		now := func() time.Time { return time.UnixMicro(at.Load()).UTC() }
		s, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix, Now: now})
		place.Must(t, err)
		return scheduletest.Fixture{
			Ops: scheduletest.Of(s), DB: db.DB, TxOptions: opts, Now: now, Advance: func(d time.Duration) { at.Add(d.Microseconds()) },
		}
	}})
}

func TestTheScheduleConforms(t *testing.T) {
	place.Each(t, func(t *testing.T, db *place.Database) { conforms(t, db, db.Dialect.TxOptions()) })
}

// Where the caller's transactions are not as the documentation asks.
func TestTheScheduleConformsInTransactionsOfMariaDBsDefault(t *testing.T) {
	conforms(t, place.Open(t, sqldialect.MySQL), nil)
}
