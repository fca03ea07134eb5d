package objectsync_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// plant makes 30 products, all synced, and then spoils some, each in a way of its own.
func (b *bench) plant() {
	b.t.Helper()
	ctx := b.t.Context()
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprintf("p%02d", i))
	}
	b.write("lamp", ids...)
	b.write("lamp", "p05", "p06") // version 2
	_, err := b.Sync(ctx, ids...)
	must(b.t, err)
	b.equal()
	pass(2 * time.Hour)
	put := func(key, body string, version int64) {
		_, err := b.store.Store.Put(ctx, "products/"+key, objectsync.Blob{Body: []byte(body), Version: version, Hash: objectsync.Hash([]byte(body))})
		must(b.t, err)
	}
	exec := func(query string) {
		_, err := b.db.Exec(query)
		must(b.t, err)
	}
	must(b.t, b.store.Store.Delete(ctx, "products/p03.json"))           // missing
	put("p05.json", `{"id":"p05"}`, 1)                                  // stale: somebody put an old one
	exec("UPDATE products SET version = 3, name = 'x' WHERE id ='p06'") // stale: nobody marked
	exec("DELETE FROM products WHERE id ='p07'")                        // orphan: nobody marked
	put("q1.json", "{}", 1)                                             // orphan: never was one
	put("README", "hello", 0)                                           // foreign
	exec("INSERT INTO products VALUES ('r1', 'never marked', 1)")       // missing
	pass(2 * time.Hour)
	put("q2.json", "{}", 1) // an orphan that is young
}

func (b *bench) snapshot() string {
	b.t.Helper()
	var out strings.Builder
	page, err := b.store.List(b.t.Context(), objectsync.ListRequest{Limit: 1000})
	must(b.t, err)
	fmt.Fprintln(&out, page)
	for _, table := range []string{"sluicegate_object", "sluicegate_task", "sluicegate_object_action"} {
		var all sql.NullString
		must(b.t, b.db.QueryRow("SELECT COUNT(*) || COALESCE(SUM(updated_at + touched), '') FROM "+strings.Replace(table, "_action", "", 1)).Scan(&all))
		fmt.Fprintln(&out, table, all, b.rows(table))
	}
	return out.String()
}

func TestReconcileFindsAndRepairsPlantedDrift(t *testing.T) {
	for _, page := range []int{1, 3, 7, 500} {
		t.Run(fmt.Sprint(page), func(t *testing.T) {
			inBubble(t, objectsync.Config{Entities: list}, func(t *testing.T, b *bench) {
				b.plant()
				before := b.snapshot()
				dry, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{DryRun: true, Page: page})
				must(t, err)
				check := func(r objectsync.Report) {
					t.Helper()
					if r.Missing != 2 || r.Stale != 2 || r.Orphan != 2 || r.Young != 1 || r.Foreign != 1 || r.Unread != 0 || r.Cursor != "" {
						t.Errorf("%+v", r)
					}
				}
				check(dry)
				if after := b.snapshot(); after != before {
					t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
				}
				if b.alerts.of(objectsync.AlertDrift) != 1 {
					t.Error("want one alert")
				}
				var told []objectsync.Drift
				wet, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{Page: page, Actor: "nightly", Each: func(d objectsync.Drift) { told = append(told, d) }})
				must(t, err)
				check(wet)
				if wet.Repaired != 6 || wet.Unrepaired != 0 || len(told) != 6 || len(wet.Drifts) != 6 {
					t.Errorf("%+v, told %v", wet, told)
				}
				actions, err := b.Actions(t.Context(), "", 0, 100)
				if must(t, err); len(actions) != 6 || actions[0].Actor != "nightly" || actions[0].Action != objectsync.ActionReconcile {
					t.Errorf("%+v", actions)
				}
				must(t, b.store.Store.Delete(t.Context(), "products/README"))
				must(t, b.store.Store.Delete(t.Context(), "products/q2.json"))
				b.equal()
				again, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{Page: page, Deep: true})
				if must(t, err); again.Drift() != 0 || again.Equal < 30 {
					t.Errorf("%+v", again)
				}
			})
		})
	}
}

func TestReconcileGoesOnFromItsCursor(t *testing.T) {
	inBubble(t, objectsync.Config{Entities: list}, func(t *testing.T, b *bench) {
		b.plant()
		var (
			sum objectsync.Report
			cur string
		)
		for n := 0; ; n++ {
			r, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{Page: 4, Pages: 1, Cursor: cur})
			must(t, err)
			sum.Missing, sum.Stale, sum.Orphan = sum.Missing+r.Missing, sum.Stale+r.Stale, sum.Orphan+r.Orphan
			if cur = r.Cursor; cur == "" {
				break
			}
			if n > 100 {
				t.Fatal("it does not end")
			}
		}
		if sum.Missing != 2 || sum.Stale != 2 || sum.Orphan != 2 {
			t.Errorf("%+v", sum)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		b.store.breakWith(func(context.Context, string, string) error {
			cancel(errBroken)
			return nil
		})
		must(t, b.store.Store.Delete(t.Context(), "products/p09.json"))
		r, err := b.Reconcile(ctx, objectsync.ReconcileConfig{Page: 4, DryRun: true})
		if !errors.Is(err, errBroken) || r.Cursor == "" {
			t.Fatalf("%+v %v", r, err)
		}
		b.store.breakWith(nil)
		if r, err = b.Reconcile(t.Context(), objectsync.ReconcileConfig{Page: 4, DryRun: true, Cursor: r.Cursor}); err != nil || r.Missing != 1 {
			t.Errorf("%+v %v", r, err)
		}
		for field, bad := range map[string]objectsync.ReconcileConfig{
			"Cursor": {Cursor: "x"}, "Page": {Page: 1001}, "Pages": {Pages: -1}, "Grace": {Grace: -5}, "Actor": {Actor: strings.Repeat("a", 256)},
		} {
			if _, err := b.Reconcile(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "ReconcileConfig."+field) {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

func TestReconcileDoesNotTakeUploadsForDrift(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.write("lamp", "1", "2", "3")
		_, err := b.Sync(t.Context(), "1", "2")
		must(t, err)
		b.write("better lamp", "1")
		r, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{})
		if must(t, err); r.Pending != 2 || r.Equal != 1 || r.Drift() != 0 {
			t.Errorf("%+v", r)
		}
		_, err = b.db.Exec("DELETE FROM sluicegate_task") // as by hand
		must(t, err)
		r, err = b.Reconcile(t.Context(), objectsync.ReconcileConfig{})
		if must(t, err); r.Stuck != 2 || r.Repaired != 2 {
			t.Errorf("%+v", r)
		}
		b.equal()
	})
}

// rotten has bytes that changed without their ETag.
type rotten struct {
	*store
	key string
}

func (r *rotten) Get(ctx context.Context, key string) (objectsync.Blob, objectsync.Info, error) {
	b, info, err := r.store.Get(ctx, key)
	if key == r.key {
		b.Body = []byte("rotten")
	}
	return b, info, err
}

func (r *rotten) PutIf(ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
	if key == r.key {
		r.key = ""
	}
	return r.store.PutIf(ctx, key, b, etag)
}

func TestADeepReconcileReadsTheBytes(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		s := &rotten{store: b.store}
		b.Syncer = b.syncer(s, objectsync.Config{})
		b.write("lamp", "1", "2")
		_, err := b.Sync(t.Context(), "1", "2")
		must(t, err)
		s.key = "products/2.json"
		if r, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{}); err != nil || r.Drift() != 0 {
			t.Errorf("%+v %v", r, err)
		}
		if r, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{Deep: true}); err != nil || r.Stale != 1 || r.Repaired != 1 {
			t.Errorf("%+v %v", r, err)
		}
		if s.key != "" {
			t.Error("the object was not written anew")
		}
	})
}

func TestOldTombstonesAreRemoved(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.write("lamp", "1", "2")
		b.remove("1")
		_, err := b.Sync(t.Context(), "1", "2")
		must(t, err)
		for _, want := range []int{0, 1, 0} {
			r, err := b.Reconcile(t.Context(), objectsync.ReconcileConfig{})
			if must(t, err); r.Tombstones != want {
				t.Errorf("%d were removed, want %d", r.Tombstones, want)
			}
			pass(91 * 24 * time.Hour)
		}
		if _, err := b.Record(t.Context(), "1"); !errors.Is(err, objectsync.ErrNoRecord) {
			t.Error(err)
		}
	})
}
