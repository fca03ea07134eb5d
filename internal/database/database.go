// Package database opens a *sql.DB by URL and compiles the three drivers that
// the commands use. Libraries never import it: a user of Sluicegate brings
// their own *sql.DB.
//
//	postgres://user:password@host:5432/database?sslmode=require
//	mysql://user:password@host:3306/database      (mariadb:// is the same)
//	sqlite:///absolute/file.db  or  sqlite://relative/file.db
//
// A URL is checked before anything connects, all its problems together, and no
// error repeats a password.
package database

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
	"github.com/sluicegate/sluicegate/internal/sqlopen/mysql"
	"github.com/sluicegate/sluicegate/internal/sqlopen/postgres"
	"github.com/sluicegate/sluicegate/internal/sqlopen/sqlite"
)

// example is what messages offer to copy.
const example = "postgres://user:password@host:5432/database, mysql://user:password@host:3306/database or sqlite:///path/file.db"

var schemes = map[string]sqldialect.Dialect{
	"postgres": sqldialect.PostgreSQL, "postgresql": sqldialect.PostgreSQL,
	"mysql": sqldialect.MySQL, "mariadb": sqldialect.MySQL,
	"sqlite": sqldialect.SQLite, "sqlite3": sqldialect.SQLite,
}

// defaultConns is how many connections may be open, for the servers.
const defaultConns = 16

// Source is a checked URL.
type Source struct {
	url      *url.URL
	dialect  sqldialect.Dialect
	path     string // SQLite: the file
	maxConns int
}

// Parse checks raw and returns where it points, or all problems joined. It
// connects to nothing; for SQLite it looks whether the folder is there.
func Parse(raw string) (Source, error) {
	known := []string{"postgres", "postgresql", "mysql", "mariadb", "sqlite", "sqlite3"}
	dialect := schemes[schemeOf(raw)]
	if err := sqlite.Memory(raw); err != nil {
		return Source{}, err
	}
	rule := address.Rule{Schemes: known, Example: example, Params: params(dialect), AnyHost: dialect == sqldialect.SQLite}
	u, err := address.Parse(raw, rule)
	if err != nil {
		return Source{}, err
	}
	s := Source{url: u, dialect: dialect, maxConns: defaultConns}
	var errs []error
	switch dialect {
	case sqldialect.SQLite:
		s.maxConns = 1
		s.path, errs = sqlite.Path(u)
	case sqldialect.MySQL:
		errs = mysql.Check(u)
	default:
		errs = postgres.Check(u)
	}
	if v := u.Query().Get(sqlopen.PoolParam); v != "" {
		s.maxConns, _ = strconv.Atoi(v) // checked by address.Parse
	}
	if len(errs) > 0 {
		return Source{}, errors.Join(errs...)
	}
	return s, nil
}

// Validate returns all problems of raw, or nil.
func Validate(raw string) error {
	_, err := Parse(raw)
	return err
}

// Open checks raw and opens it. Like sql.Open it connects at the first use.
func Open(raw string) (*sql.DB, error) {
	s, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	return s.Open()
}

// Dialect tells which kind of database it is.
func (s Source) Dialect() sqldialect.Dialect { return s.dialect }

// String returns the URL without its secrets.
func (s Source) String() string {
	if s.url == nil {
		return ""
	}
	return address.Redact(s.url.String())
}

// Open opens the database. Like sql.Open it connects at the first use.
//
// SQLite has one connection, shared by readers and writers: two writers of one
// file would wait for each other by polling. Code that holds a transaction must
// not ask the *sql.DB for another connection.
func (s Source) Open() (*sql.DB, error) {
	var db *sql.DB
	var err error
	switch s.dialect {
	case sqldialect.PostgreSQL:
		db, err = postgres.Open(s.url)
	case sqldialect.MySQL:
		db, err = mysql.Open(s.url)
	case sqldialect.SQLite:
		db, err = sqlite.Open(s.path, s.url.Query())
	default:
		return nil, errors.New("open database: the source was not parsed")
	}
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(s.maxConns)
	db.SetMaxIdleConns(s.maxConns)
	if s.dialect != sqldialect.SQLite {
		db.SetConnMaxIdleTime(5 * time.Minute)
	}
	return db, nil
}

func schemeOf(raw string) string {
	scheme, _, _ := strings.Cut(raw, "://")
	return strings.ToLower(scheme)
}

func params(d sqldialect.Dialect) map[string]address.Check {
	switch d {
	case sqldialect.PostgreSQL:
		return postgres.Params()
	case sqldialect.MySQL:
		return mysql.Params()
	case sqldialect.SQLite:
		return sqlite.Params()
	default:
		return nil
	}
}
