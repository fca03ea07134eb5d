package objectsync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

// Each query that a Syncer repeats reads along an index, whatever the number of records.
func TestTheQueriesReadAlongAnIndex(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *database) {
		db.fill(t)
		object, action := db.Prefix+"object", db.Prefix+"object_action"
		for name, c := range map[string]struct{ query, index string }{
			"one record":      {"SELECT entity FROM " + object + " WHERE sync_name = 'products' AND entity = 'e5'", "primary"},
			"records by key":  {"SELECT entity FROM " + object + " WHERE sync_name = 'products' AND object_key > 'products/e5' ORDER BY object_key LIMIT 10", "object_key"},
			"failed records":  {"SELECT entity FROM " + object + " WHERE sync_name = 'products' AND status = 'failed' AND entity > 'e5' ORDER BY entity LIMIT 10", "object_status"},
			"actions of one":  {"SELECT id FROM " + action + " WHERE sync_name = 'products' AND entity = 'e5' ORDER BY id DESC LIMIT 10", "object_action"},
			"the last action": {"SELECT id FROM " + action + " WHERE sync_name = 'products' ORDER BY id DESC LIMIT 10", "object_action"},
		} {
			plan := place.Explain(t, db.DB, db.Dialect, c.query)
			index := c.index
			if index == "primary" {
				index = map[sqldialect.Dialect]string{
					sqldialect.PostgreSQL: "object_pkey", sqldialect.MySQL: "PRIMARY", sqldialect.SQLite: "autoindex",
				}[db.Dialect]
			}
			for _, bad := range []string{"Seq Scan", "Sort", "filesort", "TEMP B-TREE", "SCAN "} {
				if strings.Contains(plan, bad) {
					t.Errorf("%s: %q in\n%s", name, bad, plan)
				}
			}
			if !strings.Contains(plan, index) {
				t.Errorf("%s: not along %s:\n%s", name, index, plan)
			}
		}
	})
}

// fill inserts 20,000 records, a hundredth of them failed, and as many actions.
func (db *database) fill(t *testing.T) {
	t.Helper()
	series, text := "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s) AS n", "'e' || n"
	switch db.Dialect {
	case sqldialect.PostgreSQL:
		series = "generate_series(1, 20000) AS n(n)"
	case sqldialect.MySQL:
		series, text = "(SELECT seq AS n FROM seq_1_to_20000) AS n", "CONCAT('e', n)"
	default:
	}
	db.Do(t, fmt.Sprintf("INSERT INTO %sobject (sync_name, entity, object_key, status, dirty, error, marked_at, updated_at) "+
		"SELECT 'products', %s, %s, CASE n %% 100 WHEN 0 THEN 'failed' ELSE 'synced' END, 1, '', 0, 0 FROM %s",
		db.Prefix, text, strings.Replace(text, "'e'", "'products/e'", 1), series))
	db.Do(t, fmt.Sprintf("INSERT INTO %sobject_action (sync_name, entity, action, actor, note, created_at) SELECT 'products', %s, 'repair', 'x', '', 0 FROM %s",
		db.Prefix, text, series))
	place.Analyze(t, db.DB, db.Dialect, db.Table("object"), db.Table("object_action"))
}
