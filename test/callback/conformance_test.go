package callback_test

import (
	"testing"

	"github.com/sluicegate/sluicegate/handlers/callback/callbacktest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestThePromisesAreKept(t *testing.T) {
	place.Each(t, func(t *testing.T, ts *place.Database) {
		callbacktest.Run(t, callbacktest.Harness{Open: func(t *testing.T) callbacktest.Database {
			t.Helper()
			db := ts.Connect(t) // in the bubble of the case
			for _, table := range []string{schema.Call, schema.CallEvent, schema.Task, schema.Outbox} {
				_, err := db.ExecContext(t.Context(), "DELETE FROM "+ts.Prefix+table)
				place.Must(t, err)
			}
			return callbacktest.Database{DB: db, Prefix: ts.Prefix, TxOptions: ts.Dialect.TxOptions()}
		}})
	})
}
