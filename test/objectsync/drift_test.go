package objectsync_test

import (
	"fmt"
	"strings"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// drift plants what Reconcile is to find.
func (c *campaign) drift() {
	c.t.Helper()
	ctx := c.t.Context()
	live, err := c.db.entities(ctx, c.db.DB, "", 40)
	must(c.t, err)
	for _, id := range live[:10] {
		must(c.t, c.store.Delete(ctx, "products/"+id+".json"))
	}
	for _, id := range live[10:20] {
		_, err := c.store.Put(ctx, "products/"+id+".json", objectsync.Blob{Body: []byte("{}"), Version: 1})
		must(c.t, err)
	}
	for _, id := range live[20:30] {
		c.db.exec(c.t, "UPDATE "+c.db.table+" SET version = ? WHERE id = ?", c.version.Add(1), id)
	}
	for _, id := range live[30:35] {
		c.db.exec(c.t, "DELETE FROM "+c.db.table+" WHERE id = ?", id)
	}
	for i := range 5 {
		_, err := c.store.Put(ctx, fmt.Sprintf("products/orphan%d.json", i), objectsync.Blob{Body: []byte("{}")})
		must(c.t, err)
	}
	c.db.exec(c.t, "INSERT INTO "+c.db.table+" (id, name, version) VALUES ('unmarked', 'x', ?)", c.version.Add(1))

	before := c.dump()
	dry, err := c.syncer.Reconcile(ctx, objectsync.ReconcileConfig{DryRun: true, Page: 64, Grace: objectsync.NoGrace})
	must(c.t, err)
	if after := c.dump(); after != before {
		c.t.Errorf("a dry run changed %s to %s", before, after)
	}
	graceful, err := c.syncer.Reconcile(ctx, objectsync.ReconcileConfig{DryRun: true, Page: 64})
	if must(c.t, err); graceful.Orphan != 0 || graceful.Young != 10 {
		c.t.Errorf("with a grace of an hour: %+v", graceful)
	}
	wet, err := c.syncer.Reconcile(ctx, objectsync.ReconcileConfig{Page: 64, Grace: objectsync.NoGrace, Deep: true})
	must(c.t, err)
	for name, r := range map[string]objectsync.Report{"dry": dry, "wet": wet} {
		if r.Missing != 11 || r.Stale != 20 || r.Orphan != 10 || r.Stuck != 0 || r.Unread != 0 {
			c.t.Errorf("%s: %+v", name, r)
		}
	}
	c.settled()
	c.equal()
	again, err := c.syncer.Reconcile(ctx, objectsync.ReconcileConfig{Page: 64, Grace: objectsync.NoGrace, Deep: true})
	if must(c.t, err); again.Drift() != 0 {
		c.t.Errorf("after the repair: %+v", again)
	}
}

// dump is enough of store and tables to see a change.
func (c *campaign) dump() string {
	c.t.Helper()
	page, err := c.store.List(c.t.Context(), objectsync.ListRequest{Limit: 1000})
	must(c.t, err)
	out := []string{fmt.Sprint(page.Items)}
	for _, table := range []string{"object", "task", "object_action"} {
		var n, sum int64
		what := "COUNT(*), COALESCE(SUM(touched), 0)"
		if table == "object_action" {
			what = "COUNT(*), 0"
		}
		must(c.t, c.db.QueryRow("SELECT "+what+" FROM "+c.db.prefix+table).Scan(&n, &sum))
		out = append(out, fmt.Sprint(table, n, sum))
	}
	return strings.Join(out, " ")
}
