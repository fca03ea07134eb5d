package schedule_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schedule/scheduletest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// clock stands still unless it is moved.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

func TestTheScheduleConformsOnSQLite(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Durable(t))
	scheduletest.Run(t, scheduletest.Harness{New: func(t *testing.T) scheduletest.Fixture {
		t.Helper()
		_, err := db.ExecContext(t.Context(), "DELETE FROM sluicegate_task")
		must(t, err)
		c := newClock()
		s, err := schedule.New(db, schedule.Config{Now: c.now})
		must(t, err)
		return scheduletest.Fixture{Ops: scheduletest.Of(s), DB: db, Advance: c.advance, Now: c.now}
	}})
}

func TestWhatIsWrongWithAConfigurationIsNamed(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Durable(t))
	for field, cfg := range map[string]schedule.Config{
		"Dialect": {Dialect: 9}, "Schema": {Schema: "x"}, "Prefix": {Prefix: "a-b"},
	} {
		if _, err := schedule.New(db, cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%+v: error %v, want one that names Config.%s", cfg, err, field)
		}
	}
	if _, err := schedule.New(nil, schedule.Config{}); err == nil {
		t.Error("a nil database was taken")
	}
}
