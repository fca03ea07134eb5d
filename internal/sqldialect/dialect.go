// Package sqldialect holds what differs between PostgreSQL, MySQL/MariaDB and
// SQLite, and nothing else: placeholders, quoting, the clock, and how each
// tells its errors. It compiles no driver.
//
// Times are stored as BIGINT microseconds since the Unix epoch in all three
// databases: no time zone, no parseTime, one arithmetic.
package sqldialect

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Dialect is one of the three kinds of database.
type Dialect uint8

// The dialects. The zero value is none: it is detected from the driver.
const (
	Unknown Dialect = iota
	PostgreSQL
	MySQL // and MariaDB
	SQLite
)

// ErrUnknown says that the dialect of a database could not be told from its driver.
var ErrUnknown = errors.New("unknown SQL dialect")

func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "postgres"
	case MySQL:
		return "mysql"
	case SQLite:
		return "sqlite"
	default:
		return "unknown"
	}
}

// Valid reports whether d is one of the three.
func (d Dialect) Valid() bool { return d >= PostgreSQL && d <= SQLite }

// Parse returns the dialect of a name or URL scheme.
func Parse(name string) (Dialect, error) {
	switch strings.ToLower(name) {
	case "postgres", "postgresql", "pgx":
		return PostgreSQL, nil
	case "mysql", "mariadb":
		return MySQL, nil
	case "sqlite", "sqlite3":
		return SQLite, nil
	}
	return Unknown, fmt.Errorf("%w %q: use postgres, mysql or sqlite", ErrUnknown, name)
}

// Detect tells the dialect from the type of db's driver. It knows pgx, lib/pq,
// go-sql-driver/mysql, modernc.org/sqlite, mattn/go-sqlite3 and their usual
// forks; behind a wrapping driver the dialect must be configured.
func Detect(db *sql.DB) (Dialect, error) {
	if db == nil {
		return Unknown, errors.New("database is nil")
	}
	name := strings.ToLower(fmt.Sprintf("%T", db.Driver()))
	switch {
	case strings.Contains(name, "mysql"):
		return MySQL, nil
	case strings.Contains(name, "sqlite"):
		return SQLite, nil
	case strings.Contains(name, "stdlib.driver"), strings.HasPrefix(name, "*pq."), strings.HasPrefix(name, "pq."):
		return PostgreSQL, nil
	}
	return Unknown, fmt.Errorf("%w of driver %T: set Dialect in the configuration", ErrUnknown, db.Driver())
}

// Bind rewrites the ? placeholders of query into the dialect's own. The query
// must not contain a ? of any other meaning.
func (d Dialect) Bind(query string) string {
	if d != PostgreSQL {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	for i := range len(query) {
		if query[i] != '?' {
			b.WriteByte(query[i])
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// Quote quotes an identifier. Identifiers are validated by Names before.
func (d Dialect) Quote(ident string) string {
	if d == MySQL {
		return "`" + strings.ReplaceAll(ident, "`", "``") + "`"
	}
	return `"` + strings.ReplaceAll(ident, `"`, `""`) + `"`
}

// Now is an expression for the database's clock in microseconds since the
// Unix epoch. It moves within a transaction. SQLite's clock has milliseconds.
func (d Dialect) Now() string {
	switch d {
	case PostgreSQL:
		return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
	case MySQL:
		return "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"
	default:
		return "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	}
}

// List returns "?, ?, …" with n placeholders, to be rewritten by Bind.
func List(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat("?, ", n-1) + "?"
}

// InsertRows is how many rows one INSERT should have at most. For SQLite the
// bound is low: modernc.org/sqlite binds in a time that grows with the square of
// the number of parameters, and there is no round trip to save.
func (d Dialect) InsertRows() int {
	if d == SQLite {
		return 50
	}
	return 1000
}

// TxOptions are the options of the library's own short transactions: READ
// COMMITTED where the default would take gap locks or keep a snapshot.
func (d Dialect) TxOptions() *sql.TxOptions {
	if d == SQLite {
		return nil
	}
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}
