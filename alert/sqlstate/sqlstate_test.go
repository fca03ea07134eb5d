package sqlstate_test

import (
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/sqlstate"
	"github.com/sluicegate/sluicegate/alert/statetest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	return sqlitetest.Migrate(t, sqlitetest.Durable(t))
}

func TestSQLiteConforms(t *testing.T) {
	statetest.Run(t, statetest.Harness{New: func(t *testing.T) statetest.Fixture {
		t.Helper()
		var passed atomic.Int64
		s, err := sqlstate.New(open(t), sqlstate.Config{Now: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }})
		if err != nil {
			t.Fatal(err)
		}
		return statetest.Fixture{State: s, Advance: func(d time.Duration) { passed.Add(int64(d)) }}
	}})
}

func TestTheClockIsTheDatabases(t *testing.T) {
	s, err := sqlstate.New(open(t), sqlstate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, now, err := s.Get(t.Context(), alert.KindGroup, "none")
	if err != nil || time.Since(now).Abs() > time.Minute {
		t.Fatalf("%s, %v", now, err)
	}
	if err := s.Put(t.Context(), alert.Row{Kind: alert.KindGroup, ID: "due", Due: now.Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	a, err := s.Agenda(t.Context(), 1)
	if err != nil || len(a.Rows) != 1 || time.Since(a.Now).Abs() > time.Minute {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := sqlstate.New(nil, sqlstate.Config{Dialect: 9, Prefix: "-"})
	for _, field := range []string{"db", "Config.Dialect", "Config.Prefix"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
