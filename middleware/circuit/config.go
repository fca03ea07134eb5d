package circuit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/header"
)

// The defaults.
const (
	DefaultKeys       = 5
	DefaultRatio      = 0.8
	DefaultWindow     = 2 * time.Minute
	DefaultMaxWait    = 5 * time.Second
	DefaultFirstPause = time.Second
	DefaultMaxPause   = time.Minute
	DefaultProbes     = 1
	DefaultSuccesses  = 3
)

// MaxKeys bounds Config.Keys.
const MaxKeys = 1000

// Event is a fact that an Observer is told.
type Event = event.Event

// Observer is told facts after they are true. It is called on a handler's
// goroutine and must neither block nor panic.
type Observer = event.Observer

// Config of the circuits. The zero value is ready to use.
type Config struct {
	// Keys is how many different messages must have failed, 2 to 1000. Default 5.
	Keys int
	// Ratio is the share of failures among the outcomes since the first of
	// those, above 0 and up to 1. Default 0.8.
	Ratio float64
	// Window is how far back failures count. It should be several times what a
	// call of the handler may take. Default 2 min.
	Window time.Duration
	// MaxWait is how long a message waits, un-acked, at an open circuit.
	// Default 5 s.
	MaxWait time.Duration
	// FirstPause is the bound of the pause before the first probe. Default 1 s.
	FirstPause time.Duration
	// MaxPause caps the pauses, which double from probe to failed probe.
	// Default 1 min, or FirstPause where that is longer.
	MaxPause time.Duration
	// Probes is how many messages try at a time. Default 1.
	Probes int
	// Successes is how many probes must succeed in a row. Default 3.
	Successes int

	// Key tells messages apart: those with one key count as one. Default: the
	// metadata sluicegate_idempotency_key, else the UUID. Messages without any
	// are taken for the same one.
	Key func(*message.Message) string
	// Dependencies names what a message needs, where that can be told before it
	// runs: it then waits for these circuits, and for the handler's own, only.
	// Default: a message waits for every open circuit of its handler.
	Dependencies func(*message.Message) []string
	// Counts says which errors count, of those that are not Permanent.
	// Default: all.
	Counts func(error) bool

	// OnChange is told of each circuit that opened or closed, with its state
	// after that. It is called on a handler's goroutine and must neither block
	// nor panic. Default: nobody.
	OnChange func(Status)
	// Alerts gets an alert named NameOpen for each circuit that opens, again
	// after each probe that failed, and is told by its method Resolve, if it has
	// one as *alert.Notifier does, that the circuit has closed. Default: nobody.
	Alerts alert.Emitter
	// Observe is told CircuitOpened, with the last error, and CircuitClosed.
	// Default: nobody.
	Observe Observer
}

// withDefaults returns a copy with every default in place, or every problem.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Keys != 0 && (c.Keys < 2 || c.Keys > MaxKeys) {
		bad("Config.Keys: %d is not from 2 to %d; with one key a single bad message would stop all others", c.Keys, MaxKeys)
	}
	if c.Ratio < 0 || c.Ratio > 1 || math.IsNaN(c.Ratio) {
		bad("Config.Ratio: %v is not from above 0 up to 1", c.Ratio)
	}
	for _, n := range []struct {
		name  string
		value *int
		def   int
	}{{"Keys", &c.Keys, DefaultKeys}, {"Probes", &c.Probes, DefaultProbes}, {"Successes", &c.Successes, DefaultSuccesses}} {
		if *n.value < 0 && n.name != "Keys" {
			bad("Config.%s: %d is negative; use 1 or more, or 0 for %d", n.name, *n.value, n.def)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Window", &c.Window, DefaultWindow},
		{"MaxWait", &c.MaxWait, DefaultMaxWait},
		{"FirstPause", &c.FirstPause, DefaultFirstPause},
		{"MaxPause", &c.MaxPause, max(DefaultMaxPause, c.FirstPause)},
	} {
		if *d.value < 0 {
			bad("Config.%s: %s is negative; use a duration, or 0 for %s", d.name, *d.value, d.def)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.MaxPause > 0 && c.MaxPause < c.FirstPause {
		bad("Config.MaxPause: %s is less than FirstPause, %s", c.MaxPause, c.FirstPause)
	}
	if c.Ratio == 0 {
		c.Ratio = DefaultRatio
	}
	if c.Key == nil {
		c.Key = defaultKey
	}
	return c, errors.Join(errs...)
}

func defaultKey(msg *message.Message) string {
	if key := msg.Metadata.Get(header.IdempotencyKey); key != "" {
		return key
	}
	return msg.UUID
}
