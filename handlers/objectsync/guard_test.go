package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

func TestADeletionLeavesATombstoneThatAnOlderRowDoesNotPass(t *testing.T) {
	var old *objectsync.Object // what a replica that lags would answer
	cfg := objectsync.Config{Tries: 1, Load: func(ctx context.Context, db *sql.DB, entity string) (objectsync.Object, error) {
		if old != nil {
			return *old, nil
		}
		return load(ctx, db, entity)
	}}
	inBubble(t, cfg, func(t *testing.T, b *bench) {
		sync := func() objectsync.Result {
			res, err := b.Sync(t.Context(), "1")
			must(t, err)
			return res[0]
		}
		b.write("lamp", "1")
		b.write("better lamp", "1")
		sync()
		b.remove("1")
		if r := sync(); r.Status != objectsync.Removed || r.Err != nil || r.Version != 2 {
			t.Errorf("%+v", r)
		}
		b.equal()
		if n := len(b.store.of("delete")); n != 1 {
			t.Errorf("%d deletions", n)
		}
		old = &objectsync.Object{Body: "lamp", Version: 1}
		if r := sync(); r.Status != objectsync.Pending || !errors.Is(r.Err, objectsync.ErrOlder) {
			t.Errorf("an older row gave %+v", r)
		}
		b.equal()
		old = nil
		sync()
		if r := b.record("1"); r.Status != objectsync.Removed || r.Version != 2 || r.Hash != "" {
			t.Errorf("%+v", r)
		}
		_, err := b.db.Exec("INSERT INTO products VALUES ('1', 'lamp again', 3)")
		must(t, err)
		if r := sync(); r.Status != objectsync.Synced || r.Version != 3 {
			t.Errorf("a newer row gave %+v", r)
		}
		b.equal()
	})
}

func TestAnOlderRowOverwritesNeitherTheRecordNorWhatIsInTheStore(t *testing.T) {
	for name, spoil := range map[string]func(b *bench){
		"recorded": func(b *bench) { // as a database that was restored would be
			_, err := b.db.Exec("UPDATE products SET version = 2, name = 'old'")
			must(b.t, err)
		},
		"in the store": func(b *bench) {
			_, err := b.store.Store.Put(b.t.Context(), "products/1.json", objectsync.Blob{Body: []byte("newer"), Version: 9})
			must(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, objectsync.Config{Tries: 1}, func(t *testing.T, b *bench) {
				b.write("lamp", "1")
				b.write("good lamp", "1")
				b.write("better lamp", "1")
				_, err := b.Sync(t.Context(), "1")
				must(t, err)
				spoil(b)
				before, _, err := b.store.Get(t.Context(), "products/1.json")
				must(t, err)
				res, err := b.Sync(t.Context(), "1")
				must(t, err)
				if r := res[0]; r.Status != objectsync.Pending || !errors.Is(r.Err, objectsync.ErrOlder) {
					t.Errorf("%+v", r)
				}
				after, _, err := b.store.Get(t.Context(), "products/1.json")
				if must(t, err); string(after.Body) != string(before.Body) {
					t.Errorf("%s became %s", before.Body, after.Body)
				}
				repaired, err := b.Repair(t.Context(), objectsync.Repair{Entity: "1", Actor: "ann", Note: "restored", Override: true})
				if must(t, err); repaired.Status != objectsync.Synced || repaired.Err != nil {
					t.Errorf("%+v", repaired)
				}
				b.equal()
				// The guard is back after that.
				_, err = b.db.Exec("UPDATE products SET version = version - 1")
				must(t, err)
				res, err = b.Sync(t.Context(), "1")
				if must(t, err); !errors.Is(res[0].Err, objectsync.ErrOlder) {
					t.Errorf("after the override: %+v", res[0])
				}
			})
		})
	}
}

func TestARepairIsRecordedWithWhoDidIt(t *testing.T) {
	inBubble(t, objectsync.Config{Schedule: objectsync.Schedule{MaxAttempts: 1}}, func(t *testing.T, b *bench) {
		b.store.breakWith(only("put", errBroken))
		b.write("lamp", "1")
		res, err := b.Sync(t.Context(), "1")
		must(t, err)
		if res[0].Status != objectsync.Failed {
			t.Fatalf("%+v", res[0])
		}
		b.store.breakWith(nil)
		got, err := b.Repair(t.Context(), objectsync.Repair{Entity: "1", Actor: "ann@example.com", Note: "bucket was read-only"})
		if must(t, err); got.Status != objectsync.Synced || got.Err != nil {
			t.Errorf("%+v", got)
		}
		b.equal()
		actions, err := b.Actions(t.Context(), "1", 0, 10)
		must(t, err)
		if len(actions) != 1 || actions[0].Actor != "ann@example.com" || actions[0].Note != "bucket was read-only" ||
			actions[0].Action != objectsync.ActionRepair || actions[0].Entity != "1" || actions[0].At.IsZero() {
			t.Errorf("%+v", actions)
		}
		for _, bad := range []objectsync.Repair{{Entity: "1"}, {Entity: "../1", Actor: "ann"}, {Actor: "ann"}, {Entity: "1", Actor: "ann", Note: "\xff"}} {
			_, err := b.Repair(t.Context(), bad)
			if !errors.Is(err, objectsync.ErrRepair) && !errors.Is(err, objectsync.ErrKey) {
				t.Errorf("%+v gave %v", bad, err)
			}
		}
		if actions, err = b.Actions(t.Context(), "", actions[0].ID, 10); err != nil || len(actions) != 0 {
			t.Errorf("%+v %v", actions, err)
		}
	})
}

func TestRecordsAreListedAndCounted(t *testing.T) {
	inBubble(t, objectsync.Config{Schedule: objectsync.Schedule{MaxAttempts: 1}}, func(t *testing.T, b *bench) {
		b.store.breakWith(func(_ context.Context, op, key string) error {
			if op == "put" && strings.HasSuffix(key, "/2.json") {
				return errBroken
			}
			return nil
		})
		b.write("lamp", "1", "2", "3")
		_, err := b.Sync(t.Context(), "1", "2")
		must(t, err)
		counts, err := b.Counts(t.Context())
		if must(t, err); counts[objectsync.Synced] != 1 || counts[objectsync.Failed] != 1 || counts[objectsync.Pending] != 1 {
			t.Errorf("%v", counts)
		}
		failed, err := b.List(t.Context(), objectsync.Filter{Status: objectsync.Failed})
		if must(t, err); len(failed) != 1 || failed[0].Entity != "2" {
			t.Errorf("%+v", failed)
		}
		rest, err := b.List(t.Context(), objectsync.Filter{After: "1", Limit: 1})
		if must(t, err); len(rest) != 1 || rest[0].Entity != "2" {
			t.Errorf("%+v", rest)
		}
		if _, err := b.List(t.Context(), objectsync.Filter{Status: "x", Limit: -1}); err == nil ||
			!strings.Contains(err.Error(), "Filter.Status") || !strings.Contains(err.Error(), "Filter.Limit") {
			t.Errorf("%v", err)
		}
		if _, err := b.Record(t.Context(), "9"); !errors.Is(err, objectsync.ErrNoRecord) {
			t.Errorf("%v", err)
		}
	})
}
