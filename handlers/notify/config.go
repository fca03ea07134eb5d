package notify

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/netguard"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// The defaults.
const (
	DefaultMaxAttempts   = 50
	DefaultTimeout       = 15 * time.Second
	DefaultMaxRetryAfter = 24 * time.Hour
	DefaultMaxThrottle   = time.Minute
	DefaultCircuit       = 5
	DefaultMaxPause      = time.Minute
	DefaultConcurrency   = 16
	DefaultInFlight      = 2000
	DefaultPerTarget     = 4
	DefaultMaxPayload    = 256 << 10
	DefaultMaxResponse   = 4 << 10
	DefaultRetain        = 30 * 24 * time.Hour
	DefaultRetainStopped = 90 * 24 * time.Hour
)

// NoCircuit is a Config.Circuit of none.
const NoCircuit = -1

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// Schedule says when an attempt follows one that failed; see park.Schedule.
type Schedule = park.Schedule

// Delays are those of the default schedule; the last is repeated.
func Delays() []time.Duration {
	const s, m = time.Second, time.Minute
	return []time.Duration{s, 5 * s, 15 * s, 30 * s, m, 2 * m, 5 * m, 10 * m, 30 * m, time.Hour}
}

// Config of a Notifier. The zero value is ready to use.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the tables.
	// Default: the connection's own.
	Schema string
	// Prefix begins the tables' names. Default "sluicegate_".
	Prefix string

	// Schedule says when a notification that failed is tried again; the first
	// attempt is made at once. Default: Delays, 50 attempts in all.
	Schedule Schedule
	// Timeout is of one POST, to the end of its answer. One that takes longer has
	// failed. Default 15 s, up to 10 min.
	Timeout time.Duration
	// MaxRetryAfter caps what Retry-After may ask for. Default 24 h.
	MaxRetryAfter time.Duration
	// MaxThrottle caps how long an answer that throttles a target, without a
	// Retry-After, keeps its other notifications waiting. Default 1 min.
	MaxThrottle time.Duration
	// Circuit is how many different notifications of a target must fail in a row
	// for its circuit to open. Default 5. NoCircuit: it never does.
	Circuit int
	// MaxPause caps the pauses between the attempts at an open circuit, which
	// double from 1 s on. Default 1 min.
	MaxPause time.Duration

	// Concurrency is how many notifications are worked on at a time, which bounds the connections
	// to the database; those that wait for a partner do not count. Default 16.
	Concurrency int
	// InFlight is how many POSTs may be under way, each with a connection of its own. Default 2000.
	InFlight int
	// PerTarget is how many of them may be to one target, up to Concurrency.
	// Default 4, or Concurrency where that is less.
	PerTarget int
	// Lease is how long a notification stays with a process that died while it was
	// at work on it. Default 1 min.
	Lease time.Duration
	// PollMax is how late the first attempt of a notification may be that this
	// process was not woken for. Default 1 s.
	PollMax time.Duration

	// AllowPrivate lets targets be in loopback, private and carrier-grade NAT networks. Link-local
	// addresses and the metadata services of clouds stay closed.
	AllowPrivate bool
	// Allow are addresses that targets may have whatever they are.
	Allow []netip.Prefix
	// Client sends the POSTs in place of one whose connections are guarded; its redirects are
	// off. Who gives one answers for what it connects to. Default: none.
	Client *http.Client

	// MaxPayload is the largest payload, in bytes, up to 4 MiB. Default 256 KiB.
	MaxPayload int
	// MaxResponse is how much of each answer is kept, in bytes, up to 64 KiB. Default 4 KiB.
	MaxResponse int
	// Retain is how long delivered and confirmed notifications are kept, with their attempts. Default
	// 30 days. Negative: for ever.
	Retain time.Duration
	// RetainStopped is how long stopped ones are kept. Default 90 days. Negative: for ever.
	RetainStopped time.Duration

	// Alerts gets NameExhausted for each notification that is stopped, NameDisabled for each target that said
	// 410, and NameDown for each whose circuit opens. Default: nobody.
	Alerts alert.Emitter
	// Logger hears of what no caller can be told. Default: discards.
	Logger *slog.Logger
	// Now is the clock, for tests. Default: the database's, and for signatures time.Now.
	Now func() time.Time
}

// span is a field with its default and its bounds.
type span[T int | time.Duration] struct {
	name           string
	value          *T
	def, low, high T
}

func (s span[T]) apply() error {
	if *s.value == 0 {
		*s.value = s.def
	}
	if *s.value < s.low || *s.value > s.high {
		return fmt.Errorf("Config.%s: %v, use %v to %v, or 0 for %v", s.name, *s.value, s.low, s.high, s.def)
	}
	return nil
}

// withDefaults returns a copy with every default in place, or every problem.
func (c Config) withDefaults() (Config, error) {
	const year = park.MaxSpan
	errs := []error{}
	if len(c.Schedule.Delays) == 0 {
		c.Schedule.Delays = Delays()
	}
	errs = append(errs, c.Schedule.Check("Config.Schedule"))
	if c.Schedule.MaxAttempts == 0 {
		c.Schedule.MaxAttempts = DefaultMaxAttempts
	}
	if c.Circuit == NoCircuit {
		c.Circuit = maxCircuit + 1
	} else {
		errs = append(errs, span[int]{"Circuit", &c.Circuit, DefaultCircuit, 2, maxCircuit}.apply())
	}
	errs = append(errs, span[int]{"Concurrency", &c.Concurrency, DefaultConcurrency, 1, 1000}.apply())
	for _, s := range []span[int]{
		{"InFlight", &c.InFlight, DefaultInFlight, 1, 20_000},
		{"PerTarget", &c.PerTarget, min(DefaultPerTarget, max(c.Concurrency, 1)), 1, max(c.Concurrency, 1)},
		{"MaxPayload", &c.MaxPayload, DefaultMaxPayload, 1, 4 << 20},
		{"MaxResponse", &c.MaxResponse, DefaultMaxResponse, 1, 64 << 10},
	} {
		errs = append(errs, s.apply())
	}
	for _, s := range []span[time.Duration]{
		{"Timeout", &c.Timeout, DefaultTimeout, time.Millisecond, 10 * time.Minute},
		{"MaxRetryAfter", &c.MaxRetryAfter, DefaultMaxRetryAfter, time.Second, year},
		{"MaxThrottle", &c.MaxThrottle, DefaultMaxThrottle, time.Millisecond, year},
		{"MaxPause", &c.MaxPause, DefaultMaxPause, time.Millisecond, year},
		{"Lease", &c.Lease, time.Minute, 100 * time.Millisecond, 24 * time.Hour},
		{"PollMax", &c.PollMax, time.Second, 100 * time.Millisecond, time.Hour},
	} {
		errs = append(errs, s.apply())
	}
	if c.Retain == 0 {
		c.Retain = DefaultRetain
	}
	if c.RetainStopped == 0 {
		c.RetainStopped = DefaultRetainStopped
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// maxCircuit bounds Config.Circuit.
const maxCircuit = 1000

// client returns what POSTs are sent with.
func (c Config) client(g *netguard.Guard) *http.Client {
	if c.Client == nil {
		return g.Client()
	}
	own := *c.Client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
