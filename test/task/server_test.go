// Package task_test holds the tasks of users against real servers: PostgreSQL and
// MariaDB.
package task_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database has a table of what was sent beside ours.
type database struct{ *place.Database }

func eachDatabase(t *testing.T, fn func(t *testing.T, db *database)) {
	t.Helper()
	place.EachWithSQLite(t, func(t *testing.T, db *place.Database) {
		t.Helper()
		db.Create(t, "sent", "item VARCHAR(64) NOT NULL")
		fn(t, &database{db})
	})
}
