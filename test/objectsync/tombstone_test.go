package objectsync_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/test/place"
)

// The transaction that removes them loses a race after the first, and begins again.
func TestATombstoneIsCountedOnce(t *testing.T) {
	place.Each(t, func(t *testing.T, db *place.Database) {
		t.Helper()
		ctx := t.Context()
		s, err := objectsync.New(db.DB, memstore.New(), objectsync.Config{
			Name: "n", Dialect: db.Dialect, Prefix: db.Prefix, RetainTombstones: time.Millisecond,
			Load: func(context.Context, *sql.DB, string) (objectsync.Object, error) {
				return objectsync.Object{Deleted: true}, nil
			},
		})
		place.Must(t, err)
		entities := []string{"a", "b", "c", "d", "e", "f"}
		_, err = s.Sync(ctx, entities...)
		place.Must(t, err)
		touch := "UPDATE " + db.Table(schema.Object) + " SET touched = touched + 1 WHERE sync_name = 'n' AND entity "
		tx, err := db.DB.BeginTx(ctx, db.Dialect.TxOptions())
		place.Must(t, err)
		_, err = tx.ExecContext(ctx, touch+"> 'a'") // of the two it has done more: it is not the one to go
		place.Must(t, err)
		ended := make(chan error, 1)
		time.AfterFunc(200*time.Millisecond, func() { // the first is removed by now, and the second waited for
			if _, err := tx.ExecContext(ctx, touch+"= 'a'"); err != nil {
				_ = tx.Rollback()
				ended <- err
				return
			}
			ended <- tx.Commit()
		})
		r, err := s.Reconcile(ctx, objectsync.ReconcileConfig{})
		place.Must(t, err)
		if err := <-ended; err != nil {
			t.Fatalf("the other won: %v", err)
		}
		if r.Tombstones != len(entities) {
			t.Errorf("%d were removed, counted %d", len(entities), r.Tombstones)
		}
	})
}
