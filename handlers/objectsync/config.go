package objectsync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// Loader reads an entity's row as it is now, outside of any transaction of the
// Syncer's. A row that is not there is Object{Deleted: true}, not an error: an error
// leaves the object as it is. It may be called several times for one upload, by
// several goroutines. Its errors reach logs and alerts and should hold no payload.
type Loader func(ctx context.Context, db *sql.DB, entity string) (Object, error)

// Object is what an entity's object is to be.
type Object struct {
	// Body is stored as it is where it is a []byte or a json.RawMessage; anything
	// else is encoded as JSON.
	Body any
	// ContentType of the object. Default: "application/json", and for a []byte
	// "application/octet-stream".
	ContentType string
	// Version grows with each change of the row, for as long as the entity's name
	// is used, also across its deletion. Zero: no guard.
	Version int64
	// Deleted says that there is no row, and so no object is to be. Its Version may be
	// left zero.
	Deleted bool
}

// Schedule is how long to wait after a run that failed.
type Schedule struct {
	// Initial is the wait after the first run. Default: 10 s.
	Initial time.Duration
	// Multiplier is by how much each wait is longer than the one before, at least
	// 1. Default: 2.
	Multiplier float64
	// Max is the longest wait. Default: 1 h.
	Max time.Duration
	// MaxAttempts is after how many runs that failed the record is Failed. Default:
	// 50, about two days.
	MaxAttempts int
}

// Config of a Syncer. Name and Load are required.
type Config struct {
	// Name of the kind of entity, such as "products": 1 to 64 letters, digits, ".", "_" and
	// "-". Syncers of one name on one database share their work.
	Name string
	// Load reads a row.
	Load Loader
	// Entities lists the entities after one, in an order of the database's own, up to
	// limit: SELECT id FROM products WHERE id > ? ORDER BY id LIMIT ?. With it, Reconcile
	// also finds rows that were never marked. Default: it does not.
	Entities func(ctx context.Context, db *sql.DB, after string, limit int) ([]string, error)
	// KeyPrefix and KeySuffix stand around the entity in the key of its object.
	// Default: Name + "/" and ".json". Nothing else should be kept under the prefix.
	KeyPrefix, KeySuffix string
	// MaxSize of a body in bytes; a bigger one is a permanent failure. Default: 16 MiB.
	MaxSize int

	// Tries is how often a run tries at once. Default: 3.
	Tries int
	// TryWait is the wait after the first try; that after the n-th is n times as
	// long. Default: 1 s.
	TryWait time.Duration
	// Timeout of each reading of a row and each call of the store. Default: 15 s.
	Timeout time.Duration
	// Schedule is when a run comes back that failed.
	Schedule Schedule
	// OutageMax is the longest wait while the store or the database cannot be
	// reached; it begins at Schedule.Initial. Default: 1 minute.
	OutageMax time.Duration

	// Concurrency is how many entities Run has at work at a time, and so has a Sync and
	// a Reconcile. Default: 8.
	Concurrency int
	// Lease is how long an entity stays with a process that died while it was at
	// work on it. It must leave room for all tries of a run. Default: 2 minutes, or
	// what that takes.
	Lease time.Duration
	// PollMax is how late Run may find what another process has marked. Default: 5 s.
	PollMax time.Duration
	// Recheck is when an object is looked at once more after an upload whose forerunner's
	// fate is not known: its process died, or no answer came, so that it may still
	// arrive. Default: 1 minute.
	Recheck time.Duration
	// RetainTombstones is how long a deletion is remembered, for Reconcile to remove
	// then. Default: 90 days. Negative: for ever.
	RetainTombstones time.Duration

	// Alerts is told of uploads that failed for good, of drift, and of a store that is
	// away. Default: nobody.
	Alerts alert.Emitter
	// Logger hears of what no caller can be told. Default: discards.
	Logger *slog.Logger

	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the tables. Default:
	// the connection's own.
	Schema string
	// Prefix begins the tables' names. Default: "sluicegate_".
	Prefix string
	// Now is the clock, for tests. Default: the database's.
	Now func() time.Time
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.KeyPrefix, c.Name+"/")
	orDefault(&c.KeySuffix, ".json")
	orDefault(&c.MaxSize, 16<<20)
	orDefault(&c.Tries, 3)
	orDefault(&c.TryWait, time.Second)
	orDefault(&c.Timeout, 15*time.Second)
	orDefault(&c.Schedule.Initial, 10*time.Second)
	orDefault(&c.Schedule.Multiplier, 2)
	orDefault(&c.Schedule.Max, max(time.Hour, c.Schedule.Initial))
	orDefault(&c.Schedule.MaxAttempts, 50)
	orDefault(&c.OutageMax, time.Minute)
	orDefault(&c.Concurrency, 8)
	orDefault(&c.Lease, max(2*time.Minute, c.longest()))
	orDefault(&c.PollMax, 5*time.Second)
	orDefault(&c.Recheck, time.Minute)
	orDefault(&c.RetainTombstones, 90*24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// longest is what a run takes at most: each try reads the row and calls the store twice.
func (c Config) longest() time.Duration {
	return time.Duration(3*c.Tries)*c.Timeout + time.Duration(c.Tries*(c.Tries-1)/2)*c.TryWait
}

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("Config."+format, args...)) }
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	if c.Name == "" || len(c.Name) > maxName || strings.ContainsFunc(c.Name, func(r rune) bool { return !plain(r) }) {
		bad(`Name: %q, use 1 to %d letters, digits, ".", "_" and "-"`, c.Name, maxName)
	}
	if c.Load == nil {
		bad("Load: a function is needed, got nil")
	}
	if err := CheckKey(c.KeyPrefix + "x" + c.KeySuffix); err != nil {
		bad("KeyPrefix, KeySuffix: %w", err)
	}
	if c.MaxSize < 1 {
		bad("MaxSize: %d, use at least 1", c.MaxSize)
	}
	if c.Tries < 1 || c.Tries > 10 {
		bad("Tries: %d, use 1 to 10", c.Tries)
	}
	if c.TryWait < 0 || c.TryWait > time.Minute {
		bad("TryWait: %v, use up to 1 minute", c.TryWait)
	}
	if c.Timeout < time.Millisecond || c.Timeout > time.Hour {
		bad("Timeout: %v, use 1 ms to 1 h", c.Timeout)
	}
	if c.Concurrency < 1 || c.Concurrency > 1000 {
		bad("Concurrency: %d, use 1 to 1000", c.Concurrency)
	}
	if c.OutageMax < time.Millisecond {
		bad("OutageMax: %v, use at least 1 ms", c.OutageMax)
	}
	if c.Recheck < time.Millisecond || c.Recheck > 30*24*time.Hour {
		bad("Recheck: %v, use 1 ms to 30 days", c.Recheck)
	}
	if least := max(c.longest(), 100*time.Millisecond); c.Lease < least {
		bad("Lease: %v, use at least the %v that the tries of a run may take", c.Lease, least)
	}
	if c.PollMax < 100*time.Millisecond {
		bad("PollMax: %v, use at least 100 ms", c.PollMax)
	}
	return errors.Join(append(errs, c.Schedule.validate()...)...)
}

func (s Schedule) validate() (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("Config.Schedule."+format, args...))
	}
	if s.Initial < time.Millisecond {
		bad("Initial: %v, use at least 1 ms", s.Initial)
	}
	if s.Max < s.Initial || s.Max > 30*24*time.Hour {
		bad("Max: %v, use Initial, %v, to 30 days", s.Max, s.Initial)
	}
	if !(s.Multiplier >= 1 && s.Multiplier <= 100) {
		bad("Multiplier: %v, use 1 to 100", s.Multiplier)
	}
	if s.MaxAttempts < 1 || s.MaxAttempts > 1_000_000 {
		bad("MaxAttempts: %d, use 1 to 1000000", s.MaxAttempts)
	}
	return errs
}

// after is the wait after the n-th run that failed.
func (s Schedule) after(n int) time.Duration {
	return backoff.Policy{Initial: s.Initial, Max: s.Max, Multiplier: s.Multiplier}.Delay(n)
}
