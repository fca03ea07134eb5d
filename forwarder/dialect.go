package forwarder

import (
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Dialect is one of the three kinds of database. The zero value is detected
// from the driver.
type Dialect = sqldialect.Dialect

// The dialects.
const (
	PostgreSQL = sqldialect.PostgreSQL
	MySQL      = sqldialect.MySQL // and MariaDB
	SQLite     = sqldialect.SQLite
)

// Executor runs one statement inside the caller's transaction. *sql.Tx is one.
type Executor = dbtx.Executor

// MigrationSQL returns all migrations of Sluicegate's tables as one script, for
// those who apply it by hand or with a tool of their own. An empty schema is the
// connection's own, an empty prefix is "sluicegate_".
func MigrationSQL(d Dialect, schemaName, prefix string) (string, error) {
	return schema.SQL(d, sqldialect.Names{Schema: schemaName, Prefix: prefix})
}
