// Package demo_test runs the demo's binary against real servers: the demo on
// PostgreSQL and MariaDB with Kafka and Redis, and the shop in several processes
// that are killed while orders come in.
package demo_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/database"
)

// binary is the demo, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "demo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary = filepath.Join(folder, "demo")
	build := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/demo") // in its own module, with its own go.sum
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the demo: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server returns the URL of a real server, or skips.
func server(t *testing.T, name string) string {
	t.Helper()
	u := os.Getenv(name)
	if u == "" {
		t.Skipf("%s is not set: eval \"$(scripts/services env)\" sets it where scripts/services up has started the servers", name)
	}
	return u
}

func random() string { return strings.ToLower(rand.Text()[:10]) }

// freshDatabase makes a database of the test's own on the server at raw.
func freshDatabase(t *testing.T, raw string) string {
	t.Helper()
	name := "demo_" + random()
	admin, err := database.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		drop := "DROP DATABASE " + name
		if strings.HasPrefix(raw, "postgres") {
			drop += " WITH (FORCE)"
		}
		_, err := admin.ExecContext(context.Background(), drop)
		for tries := 0; err != nil && strings.Contains(err.Error(), "pg_signal_backend") && tries < 100; tries++ {
			<-time.After(100 * time.Millisecond) // an autovacuum is at work in it, which only a superuser may end
			_, err = admin.ExecContext(context.Background(), drop)
		}
		if err != nil {
			t.Errorf("drop database: %v", err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func open(t *testing.T, raw string) *sql.DB {
	t.Helper()
	db, err := database.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// demo runs the binary to its end.
func demo(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	// The test's own servers are not the demo's default ones.
	cmd.Env = append(os.Environ(), "SLUICEGATE_DATABASE_URL=", "SLUICEGATE_BROKER_URL=", "SLUICEGATE_IDEMPOTENCY_URL=")
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
