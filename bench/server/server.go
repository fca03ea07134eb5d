// Package server gives each trial a clean place on the real servers, and reads
// from the servers themselves the settings that decide what a figure means.
package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/database"
)

// Name returns a name for a schema or topic that nobody else uses.
func Name() string { return "bench_" + strings.ToLower(rand.Text()[:12]) }

// The kinds of databases.
const (
	KindPostgres = "PostgreSQL"
	KindMariaDB  = "MariaDB"
)

// Database is the clean database of one trial.
type Database struct {
	Kind    string
	URL     string // that leads another process there
	DB      *sql.DB
	Analyze func(ctx context.Context) error // tells the planner what is there
	Drop    func(ctx context.Context) error // closes DB too
}

// OpenURL opens the database at the URL of a Database.
func OpenURL(kind, rawURL string) (*sql.DB, error) {
	if kind == KindPostgres {
		return sql.Open("pgx", rawURL)
	}
	return database.Open(rawURL)
}

// CheckURL checks that a URL can be read and has one of the schemes. Its error
// repeats nothing of it, since it may hold a password.
func CheckURL(rawURL string, schemes ...string) error {
	u, err := url.Parse(rawURL)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" {
		return fmt.Errorf("want %s://host:port", strings.Join(schemes, ":// or "))
	}
	return nil
}

// Databases makes databases.
type Databases interface {
	Scratch(ctx context.Context) (*Database, error)
}

// Topic is the empty topic of one trial.
type Topic struct {
	Name string
	URL  string // of its broker, as broker.Open takes it
	// Held returns how many messages have arrived.
	Held func(ctx context.Context) (int64, error)
	// Read calls each with every message that has arrived, in order.
	Read func(ctx context.Context, each func(payload []byte)) error
	Drop func(ctx context.Context) error
}

// Topics makes topics.
type Topics interface {
	Scratch(ctx context.Context) (*Topic, error)
}

// Await returns when the topic holds n messages. It looks often enough to be
// wrong by half a percent at most, and no more often, so as not to load what
// it measures.
func (t *Topic) Await(ctx context.Context, n int64) error {
	start := time.Now()
	for {
		have, err := t.Held(ctx)
		if err != nil {
			return fmt.Errorf("count what has arrived: %w", err)
		}
		if have >= n {
			return nil
		}
		if err := wait(ctx, min(max(time.Since(start)/200, time.Millisecond), 50*time.Millisecond)); err != nil {
			return fmt.Errorf("%d of %d messages after %v: %w", have, n, time.Since(start).Round(time.Millisecond), err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
