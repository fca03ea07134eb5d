package callback_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/handlers/callback/callbacktest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestThePromisesAreKeptOnSQLite(t *testing.T) {
	callbacktest.Run(t, callbacktest.Harness{Open: func(t *testing.T) callbacktest.Database {
		t.Helper()
		return callbacktest.Database{DB: sqlitetest.Migrate(t, sqlitetest.Open(t)), Single: true}
	}})
}
