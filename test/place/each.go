package place

import (
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// EachDialect runs fn for each server, as the subtests PostgreSQL and MariaDB. It
// opens nothing and skips nothing: that is for fn.
func EachDialect(t *testing.T, fn func(t *testing.T, d sqldialect.Dialect)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { fn(t, sqldialect.PostgreSQL) })
	t.Run("MariaDB", func(t *testing.T) { fn(t, sqldialect.MySQL) })
}

// Each runs fn on each server, as the subtests PostgreSQL and MariaDB, with new
// tables; a subtest whose server is not there is skipped.
func Each(t *testing.T, fn func(t *testing.T, db *Database)) {
	t.Helper()
	EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		fn(t, Open(t, d))
	})
}

// EachWithSQLite is Each, and then fn on SQLite, as the subtest SQLite.
func EachWithSQLite(t *testing.T, fn func(t *testing.T, db *Database)) {
	t.Helper()
	Each(t, fn)
	t.Run("SQLite", func(t *testing.T) { fn(t, Open(t, sqldialect.SQLite)) })
}
