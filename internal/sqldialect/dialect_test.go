package sqldialect_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestBindNumbersThePlaceholdersOfPostgreSQL(t *testing.T) {
	q := "UPDATE t SET a = ?, b = ? WHERE c IN (" + sqldialect.List(3) + ")"
	if got, want := sqldialect.PostgreSQL.Bind(q), "UPDATE t SET a = $1, b = $2 WHERE c IN ($3, $4, $5)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := sqldialect.MySQL.Bind(q); got != q {
		t.Errorf("MySQL's query changed to %s", got)
	}
}

type otherDriver struct{}

func (otherDriver) Open(string) (driver.Conn, error)             { return nil, errors.New("no") }
func (otherDriver) Connect(context.Context) (driver.Conn, error) { return nil, errors.New("no") }
func (d otherDriver) Driver() driver.Driver                      { return d }
func openMySQL(t *testing.T) *sql.DB {
	t.Helper()
	c, err := mysql.NewConnector(&mysql.Config{Net: "tcp", Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(c)
}

func TestDetectKnowsTheDriversWithoutConnecting(t *testing.T) {
	lite, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	pg, err := sql.Open("pgx", "postgres://127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = stdlib.GetDefaultDriver()
	for db, want := range map[*sql.DB]sqldialect.Dialect{lite: sqldialect.SQLite, pg: sqldialect.PostgreSQL, openMySQL(t): sqldialect.MySQL} {
		got, err := sqldialect.Detect(db)
		if err != nil || got != want {
			t.Errorf("got %v %v, want %v", got, err, want)
		}
		_ = db.Close()
	}
	if _, err := sqldialect.Detect(sql.OpenDB(otherDriver{})); !errors.Is(err, sqldialect.ErrUnknown) {
		t.Errorf("an unknown driver gave %v", err)
	}
	if _, err := sqldialect.Detect(nil); err == nil {
		t.Error("a nil database was accepted")
	}
}

func TestErrorsAreToldApartWithoutTheDrivers(t *testing.T) {
	pg := func(state string) error { return fmt.Errorf("x: %w", &pgconn.PgError{Code: state}) }
	my := func(n uint16) error { return fmt.Errorf("x: %w", &mysql.MySQLError{Number: n}) }
	for _, c := range []struct {
		d                                  sqldialect.Dialect
		err                                error
		duplicate, contention, unavailable bool
	}{
		{sqldialect.PostgreSQL, pg("23505"), true, false, false},
		{sqldialect.PostgreSQL, pg("40P01"), false, true, false},
		{sqldialect.PostgreSQL, pg("57P01"), false, false, true},
		{sqldialect.PostgreSQL, pg("53300"), false, false, true},
		{sqldialect.PostgreSQL, pg("42601"), false, false, false},
		{sqldialect.MySQL, my(1062), true, false, false},
		{sqldialect.MySQL, my(1213), false, true, false},
		{sqldialect.MySQL, my(1040), false, false, true},
		{sqldialect.MySQL, my(1146), false, false, false},
		{sqldialect.MySQL, mysql.ErrInvalidConn, false, false, true},
		{sqldialect.PostgreSQL, driver.ErrBadConn, false, false, true},
		{sqldialect.PostgreSQL, context.Canceled, false, false, false},
		{sqldialect.PostgreSQL, nil, false, false, false},
		{sqldialect.SQLite, errors.New("plain"), false, false, false},
	} {
		if got := c.d.IsDuplicate(c.err); got != c.duplicate {
			t.Errorf("%v %v: duplicate %v", c.d, c.err, got)
		}
		if got := c.d.IsContention(c.err); got != c.contention {
			t.Errorf("%v %v: contention %v", c.d, c.err, got)
		}
		if got := c.d.IsUnavailable(c.err); got != c.unavailable {
			t.Errorf("%v %v: unavailable %v", c.d, c.err, got)
		}
	}
}

func TestSQLitesOwnDuplicateIsRecognised(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT UNIQUE); INSERT INTO t VALUES ('a', 'b')"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"INSERT INTO t VALUES ('a', 'c')", "INSERT INTO t VALUES ('c', 'b')"} {
		if _, err := db.Exec(q); !sqldialect.SQLite.IsDuplicate(err) {
			t.Errorf("%s: %v is not seen as a duplicate", q, err)
		}
	}
}

func TestNamesAreValidated(t *testing.T) {
	for _, bad := range []sqldialect.Names{
		{Prefix: `a";drop--`}, {Prefix: "9a"}, {Prefix: strings.Repeat("a", 31)}, {Schema: "a.b"}, {Schema: strings.Repeat("a", 64)},
	} {
		if err := bad.Validate(sqldialect.PostgreSQL); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	err := sqldialect.Names{Schema: "1", Prefix: "-"}.Validate(sqldialect.PostgreSQL)
	if err == nil || !strings.Contains(err.Error(), "Schema") || !strings.Contains(err.Error(), "Prefix") {
		t.Errorf("both problems should be named: %v", err)
	}
	if err := (sqldialect.Names{Schema: "main"}).Validate(sqldialect.SQLite); err == nil {
		t.Error("a schema was accepted for SQLite")
	}
	if got, want := (sqldialect.Names{Schema: "s", Prefix: "p_"}).Table(sqldialect.PostgreSQL, "outbox"), `"s"."p_outbox"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (sqldialect.Names{}).Table(sqldialect.MySQL, "outbox"), "`sluicegate_outbox`"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
