package notify_test

import (
	"database/sql"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database returns a function that connects to the same new tables each time.
func database(tb testing.TB, d sqldialect.Dialect) (connect func() *sql.DB, prefix string) {
	tb.Helper()
	tables := place.Open(tb, d)
	return func() *sql.DB {
		db := tables.Connect(tb)
		db.SetMaxOpenConns(8) // a case has many of them
		db.SetMaxIdleConns(8)
		return db
	}, tables.Prefix
}
