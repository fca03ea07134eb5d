package place_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tables(t *testing.T, db *place.Database, prefix string) (n int) {
	t.Helper()
	place.Must(t, db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?", len(prefix), prefix).Scan(&n))
	return n
}

func TestTablesAreOfOneTestAndGoWithIt(t *testing.T) {
	stays := place.Open(t, sqldialect.SQLite)
	ours := len(schema.Tables())
	var prefix string
	t.Run("beside", func(t *testing.T) {
		goes := place.OpenAt(t, stays.Dialect, stays.DriverName, stays.DSN)
		goes.Create(t, "effect", "id VARCHAR(64)")
		goes.Do(t, "INSERT INTO "+goes.Table("effect")+" VALUES (?)", "1")
		prefix = goes.Prefix
		if n := tables(t, stays, prefix); n != ours+1 {
			t.Errorf("%d tables, want ours and one", n)
		}
	})
	if n := tables(t, stays, prefix); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	if n := tables(t, stays, stays.Prefix); n != ours {
		t.Errorf("%d tables, want %d", n, ours)
	}
}
