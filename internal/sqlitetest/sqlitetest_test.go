package sqlitetest_test

import (
	"database/sql"
	"testing"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestEachDatabaseIsItsTestsOwnAndClosedAfterIt(t *testing.T) {
	var before *sql.DB
	for range 2 {
		t.Run("", func(t *testing.T) {
			db := sqlitetest.Migrate(t, sqlitetest.Durable(t))
			var synchronous, rows int
			if err := db.QueryRow("PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != 2 {
				t.Errorf("synchronous is %d, %v", synchronous, err)
			}
			if err := db.QueryRow("SELECT COUNT(*) FROM sluicegate_" + schema.Outbox).Scan(&rows); err != nil || rows != 0 {
				t.Errorf("%d rows, %v", rows, err)
			}
			if _, err := db.Exec("INSERT INTO sluicegate_outbox (shard, topic, message_uuid) VALUES (0, 't', 'u')"); err != nil {
				t.Error(err)
			}
			before = db
		})
		if before.Ping() == nil {
			t.Error("it is still open after its test")
		}
	}
}
