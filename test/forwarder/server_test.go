package forwarder_test

import (
	"database/sql"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/forwarder/forwardertest"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openPostgres(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, sqldialect.PostgreSQL)
}

func openMySQL(tb testing.TB) *sql.DB {
	tb.Helper()
	return open(tb, sqldialect.MySQL)
}

func open(tb testing.TB, d sqldialect.Dialect) *sql.DB {
	tb.Helper()
	db := place.Connect(tb, d)
	db.SetConnMaxIdleTime(time.Minute)
	return db
}

func TestPostgreSQL(t *testing.T) {
	forwardertest.Run(t, forwardertest.Harness{DB: openPostgres(t), Concurrent: true})
}

func TestMariaDB(t *testing.T) {
	forwardertest.Run(t, forwardertest.Harness{DB: openMySQL(t), Concurrent: true})
}
