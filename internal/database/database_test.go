package database

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const canary = "cAnArY-5ecret"

func TestAGoodURLIsTakenAndItsDialectKnown(t *testing.T) {
	dir := t.TempDir()
	for raw, want := range map[string]sqldialect.Dialect{
		"postgres://u:p@localhost:5432/db?sslmode=disable&pool_max_conns=8": sqldialect.PostgreSQL,
		"postgresql://u@[::1]/db":                          sqldialect.PostgreSQL,
		"postgres://u:p%40%2F%23@h/db":                     sqldialect.PostgreSQL,
		"postgres:///db?host=/var/run/postgresql":          sqldialect.PostgreSQL,
		"mysql://u:p@h:3306/db?tls=skip-verify&timeout=3s": sqldialect.MySQL,
		"mariadb://u:p@h/db":                               sqldialect.MySQL,
		"sqlite://" + dir + "/x.db":                        sqldialect.SQLite,
		"sqlite://x.db?busy_timeout=2s":                    sqldialect.SQLite,
	} {
		s, err := Parse(raw)
		if err != nil {
			t.Errorf("Parse(%q) = %v", raw, err)
			continue
		}
		if s.Dialect() != want {
			t.Errorf("dialect of %q is %s, want %s", raw, s.Dialect(), want)
		}
	}
}

func TestABadURLIsRefusedWithAllProblemsAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, raw string
		want      []string
	}{
		{"empty", "", []string{"is empty", "sqlite:///path/file.db"}},
		{"wrong scheme", "postgre://u:" + canary + "@h/db", []string{`"postgre"`, `did you mean "postgres"`}},
		{"DSN of the driver", "u:" + canary + "@tcp(h:3306)/db", []string{"is not a URL"}},
		{"hash in the password", "postgres://u:" + canary + "#1@h/db", []string{"%23"}},
		{"slash in the password", "mysql://u:" + canary + "/1@h/db", []string{"%2F"}},
		{"port", "postgres://u:" + canary + "@h:99999/db", []string{"1 to 65535"}},
		{"no database", "postgres://u:" + canary + "@h", []string{"names no database"}},
		{"no database, MySQL", "mysql://u:" + canary + "@h/", []string{"names no database"}},
		{"no host", "postgres:///db", []string{"has no host"}},
		{"no user, MySQL", "mysql://h/db", []string{"names no user"}},
		{"unknown parameter", "postgres://u:" + canary + "@h/db?sslmod=disable", []string{`"sslmod"`, `did you mean "sslmode"`}},
		{"value", "postgres://u:" + canary + "@h/db?sslmode=disabled", []string{`did you mean "disable"`}},
		{"parameter of another database", "mysql://u:" + canary + "@h/db?sslmode=disable", []string{`"sslmode" is unknown`}},
		{"no unit", "mysql://u:" + canary + "@h/db?timeout=10", []string{"with a unit"}},
		{"collation", "mysql://u:" + canary + "@h/db?collation=x'--", []string{"utf8mb4"}},
		{"missing certificate", "postgres://u:" + canary + "@h/db?sslrootcert=/no/such/file", []string{"sslrootcert"}},
		{"three at once", "postgres://u:" + canary + "@h:0?sslmod=x&connect_timeout=-1",
			[]string{"1 to 65535", `"sslmode"`, "from 0 to 3600"}},
		{"memory", "sqlite://:memory:", []string{":memory:"}},
		{"memory as a path", "sqlite:///:memory:", []string{":memory:"}},
		{"no file", "sqlite://", []string{"names no file"}},
		{"a folder", "sqlite://" + dir, []string{"is a folder"}},
		{"no such folder", "sqlite://" + dir + "/no/x.db", []string{"make it first"}},
		{"SQLite parameter", "sqlite://" + dir + "/x.db?_pragma=journal_mode(OFF)", []string{`"_pragma" is unknown`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Validate(c.raw)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not tell %q", err, w)
				}
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("error repeats the password: %q", err)
			}
		})
	}
}

func TestASourceIsPrintedWithoutItsPassword(t *testing.T) {
	s, err := Parse("postgres://u:" + canary + "@h/db?sslpassword=" + canary)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.String(), canary) || !strings.Contains(s.String(), "u:***@h/db") {
		t.Errorf("String() = %q", s)
	}
}

func TestSQLiteIsDurableAndTakesAnyFileName(t *testing.T) {
	for _, name := range []string{"plain.db", "a b%20#?.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := Open(SQLiteURL(path))
		if err != nil {
			t.Fatal(err)
		}
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
			var got string
			if err := db.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s is %q (%v), want %q", name, pragma, got, err, want)
			}
		}
		var file string
		if err := db.QueryRowContext(context.Background(), "SELECT file FROM pragma_database_list").Scan(&file); err != nil || filepath.Base(file) != name {
			t.Errorf("file is %q (%v), want %q", file, err, name)
		}
		if n := db.Stats().MaxOpenConnections; n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
