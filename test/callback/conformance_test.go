package callback_test

import (
	"testing"

	"github.com/sluicegate/sluicegate/handlers/callback/callbacktest"
	"github.com/sluicegate/sluicegate/internal/schema"
)

func TestThePromisesAreKept(t *testing.T) {
	eachServer(t, func(t *testing.T, ts tables) {
		callbacktest.Run(t, callbacktest.Harness{Open: func(t *testing.T) callbacktest.Database {
			t.Helper()
			db := ts.open(t) // in the bubble of the case
			for _, table := range []string{schema.Call, schema.CallEvent, schema.Task, schema.Outbox} {
				_, err := db.ExecContext(t.Context(), "DELETE FROM "+ts.prefix+table)
				must(t, err)
			}
			return callbacktest.Database{DB: db, Prefix: ts.prefix, TxOptions: ts.dialect.TxOptions()}
		}})
	})
}
