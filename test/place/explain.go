package place

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Explain returns the plan of a query as text, a line for each of its rows with
// column=value.
func Explain(tb testing.TB, db *sql.DB, d sqldialect.Dialect, query string, args ...any) string {
	tb.Helper()
	verb := "EXPLAIN "
	if d == sqldialect.SQLite {
		verb = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(tb.Context(), verb+query, args...)
	if err != nil {
		tb.Fatalf("explain %.200s: %v", query, err)
	}
	return plan(tb, rows)
}

// ExplainGeneric returns the plan that PostgreSQL uses from the sixth time on,
// without knowing the arguments.
func ExplainGeneric(tb testing.TB, db *sql.DB, query string, args ...any) string {
	tb.Helper()
	conn, err := db.Conn(tb.Context())
	Must(tb, err)
	defer func() { _ = conn.Close() }()
	do := func(queries ...string) {
		for _, q := range queries {
			_, err := conn.ExecContext(tb.Context(), q)
			Must(tb, err)
		}
	}
	literals := make([]string, len(args))
	for i, a := range args {
		literals[i] = literal(a)
	}
	execute := "p"
	if len(args) > 0 {
		execute += "(" + strings.Join(literals, ", ") + ")"
	}
	do("SET plan_cache_mode = force_generic_plan", "PREPARE p AS "+query)
	rows, err := conn.QueryContext(tb.Context(), "EXPLAIN EXECUTE "+execute)
	Must(tb, err)
	text := plan(tb, rows)
	do("DEALLOCATE p", "RESET plan_cache_mode")
	return text
}

func literal(arg any) string {
	switch a := arg.(type) {
	case nil:
		return "NULL"
	case []byte:
		return fmt.Sprintf("'\\x%x'", a)
	case string:
		return "'" + strings.ReplaceAll(a, "'", "''") + "'"
	default:
		return fmt.Sprint(a)
	}
}

// Analyze has the database look at what is in tables, which are given as a
// statement names them.
func Analyze(tb testing.TB, db *sql.DB, d sqldialect.Dialect, tables ...string) {
	tb.Helper()
	verb := "ANALYZE "
	if d == sqldialect.MySQL {
		verb = "ANALYZE TABLE "
	}
	for _, table := range tables {
		_, err := db.ExecContext(tb.Context(), verb+table)
		Must(tb, err)
	}
}

func plan(tb testing.TB, rows *sql.Rows) string {
	tb.Helper()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	Must(tb, err)
	var b strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		Must(tb, rows.Scan(dest...))
		for i, v := range values {
			if v.Valid {
				fmt.Fprintf(&b, "%s=%s ", columns[i], v.String)
			}
		}
		b.WriteByte('\n')
	}
	Must(tb, rows.Err())
	return b.String()
}
