package sqlqueue

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// The servers' plans are looked at in module test/, at volume.
func TestTheQueriesUseIndexesOnSQLite(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		t.Fatal(err)
	}
	s := newStore(db, Database{Dialect: sqldialect.SQLite}, true)
	read, _ := s.pendingQuery(1, readPlan{
		shards: []int16{1, 2}, floors: []int64{0, 5}, held: [][]int64{{7, 8}, nil}, failing: [][]int64{nil, {9}}, perShard: 10,
	})
	content, _ := s.contentQuery(1, []int64{1, 2, 3})
	remove, _ := s.deleteQuery(1, map[int][]int64{1: {1, 2}, 2: {3}})
	for what, query := range map[string]string{
		"pending": read, "content": content, "delete": remove,
		"fan-out": "INSERT INTO " + s.tables.pending + " SELECT g.id, m.shard, m.id, m.key_hash FROM " + s.tables.message + " m JOIN " + s.tables.group +
			" g ON g.topic_id = m.topic_id WHERE m.id BETWEEN 1 AND 50",
		"backlog": "SELECT id FROM " + s.tables.message + " WHERE topic_id = 1 AND id > 5 AND id <= 100 ORDER BY id LIMIT 10",
		"tidy":    "SELECT message_id FROM " + s.tables.pending + " WHERE group_id IN (1, 2) AND shard IN (" + allShards + ") AND message_id BETWEEN 1 AND 9",
	} {
		for _, step := range explain(t, db, query) {
			// Of the groups there are few; a part of a compound is a subquery.
			if strings.Contains(step, "TEMP B-TREE") || strings.HasPrefix(step, "SCAN") && !strings.HasPrefix(step, "SCAN g") && !strings.Contains(step, "SUBQUERY") && !strings.HasPrefix(step, "SCAN (") {
				t.Errorf("%s: %s", what, step)
			}
		}
	}
}

func explain(t *testing.T, db *sql.DB, query string) (steps []string) {
	t.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
