package idempotency

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
)

// TakeoverPolicy says what New does with a message whose former delivery
// neither completed nor released its record before the lease ended.
type TakeoverPolicy uint8

const (
	// Rerun runs the handler again: at least once for its effect.
	Rerun TakeoverPolicy = iota
	// Park does not run it again, but returns an InDoubtError, for a dead
	// letter that a person decides: at most once for its effect.
	Park
)

// The defaults of both configurations.
const (
	// DefaultRetention is Kafka's own default retention, a week.
	DefaultRetention = 7 * 24 * time.Hour
	// DefaultLease is how long a crashed process keeps a record from others.
	DefaultLease = 30 * time.Second
	// DefaultBusyWait is how long a message waits for another delivery of its key.
	DefaultBusyWait = 2 * time.Second
)

// Config configures New. The zero value is usable in a Watermill router.
type Config struct {
	// Handler is the namespace of the keys, so that two handlers of one topic
	// do not take each other's messages for duplicates. Default: the name of
	// the router's handler; a message without one is a permanent failure.
	Handler string
	// Consumer, such as the service and its consumer group, stands before
	// Handler with a slash: two services share a store without mixing.
	// It holds no slash. Default: what the stack says, or none.
	Consumer string
	// Key finds a message's key. Default: DefaultKey().
	Key KeyFunc
	// Fingerprint, such as PayloadFingerprint, tells a duplicate from another
	// message under a key used before, which is then a MismatchError. At most
	// 64 bytes of text; empty compares with nothing. Default: no comparison.
	Fingerprint func(msg *message.Message) string

	// Lease is how long the record is kept from others without a sign of life,
	// at least 10 ms. Default: 30 s.
	Lease time.Duration
	// Heartbeat is the time between two renewals of the lease while the handler
	// runs, at most half of Lease. Default: a third of Lease.
	Heartbeat time.Duration
	// Retention is how long a record is kept after the handler has succeeded,
	// or after its last attempt. Default: 7 days.
	Retention time.Duration
	// RedeliveryHorizon is how late a message can still be delivered again:
	// the broker's retention, or the age up to which dead letters are sent
	// again. A Retention below it is refused. Default: 7 days.
	RedeliveryHorizon time.Duration
	// BusyWait is how long a delivery waits for another one of the same key
	// before it goes back to the broker. Default: 2 s.
	BusyWait time.Duration
	// TakeoverPolicy decides about what is in doubt. Default: Rerun.
	TakeoverPolicy TakeoverPolicy

	// Observe is told Handled, Duplicate, Busy, Takeover, LeaseLost and
	// Unmarked. Default: nobody.
	Observe event.Observer
	// Logger hears of what no caller can be told: a release or a mark that
	// failed. Default: discards.
	Logger *slog.Logger
}

// TxConfig configures Transaction. The zero value is usable in a Watermill
// router. Fields that Config has too mean the same.
type TxConfig struct {
	Handler           string
	Consumer          string
	Key               KeyFunc
	Fingerprint       func(msg *message.Message) string
	Retention         time.Duration // default 7 days
	RedeliveryHorizon time.Duration // default 7 days
	BusyWait          time.Duration // default 2 s

	// AllowProduced lets messages that the handler returns through, to be
	// published after the commit: a crash in between loses them for good,
	// since a duplicate does not run again. Default: ErrProduced.
	AllowProduced bool

	// Observe is told Handled, Duplicate, Busy and Takeover. Default: nobody.
	Observe event.Observer
}

func (c Config) withDefaults() Config {
	c.Key = orKey(c.Key)
	c.Lease = or(c.Lease, DefaultLease)
	c.Heartbeat = or(c.Heartbeat, c.Lease/3)
	c.Retention = or(c.Retention, DefaultRetention)
	c.RedeliveryHorizon = or(c.RedeliveryHorizon, DefaultRetention)
	c.BusyWait = or(c.BusyWait, DefaultBusyWait)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c TxConfig) withDefaults() TxConfig {
	c.Key = orKey(c.Key)
	c.Retention = or(c.Retention, DefaultRetention)
	c.RedeliveryHorizon = or(c.RedeliveryHorizon, DefaultRetention)
	c.BusyWait = or(c.BusyWait, DefaultBusyWait)
	return c
}

func orKey(fn KeyFunc) KeyFunc {
	if fn == nil {
		return DefaultKey()
	}
	return fn
}

func or(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

func (c Config) validate() error {
	errs := checkShared("Config", c.Consumer, c.Handler, c.Retention, c.RedeliveryHorizon, c.BusyWait)
	if c.Lease < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("Config.Lease: %v: use at least 10ms", c.Lease))
	}
	if c.Heartbeat <= 0 || c.Heartbeat > c.Lease/2 {
		errs = append(errs, fmt.Errorf("Config.Heartbeat: %v: use more than 0 and at most half of Config.Lease (%v)", c.Heartbeat, c.Lease))
	}
	if c.TakeoverPolicy > Park {
		errs = append(errs, fmt.Errorf("Config.TakeoverPolicy: %d: use Rerun or Park", c.TakeoverPolicy))
	}
	return errors.Join(errs...)
}

func (c TxConfig) validate() error {
	return errors.Join(checkShared("TxConfig", c.Consumer, c.Handler, c.Retention, c.RedeliveryHorizon, c.BusyWait)...)
}

func checkShared(in, consumer, handler string, retention, horizon, busyWait time.Duration) []error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(in+"."+format, args...)) }
	if strings.Contains(consumer, "/") {
		add("Consumer: %q: must not hold a slash", consumer)
	}
	if handler != "" {
		if _, err := (Key{Handler: namespace(consumer, handler), ID: "-"}).Normalize(); err != nil {
			add("Handler: %w", err)
		}
	}
	if retention < time.Millisecond {
		add("Retention: %v: use at least 1ms", retention)
	}
	if horizon < 0 {
		add("RedeliveryHorizon: %v: must not be negative", horizon)
	}
	if retention < horizon {
		add("Retention: %v is shorter than %s.RedeliveryHorizon, %v: a message that late would take effect again", retention, in, horizon)
	}
	if busyWait < 0 {
		add("BusyWait: %v: must not be negative", busyWait)
	}
	return errs
}

func namespace(consumer, handler string) string {
	if consumer == "" {
		return handler
	}
	return consumer + "/" + handler
}

// keyOf returns the normalized key of msg. What the configuration leaves open
// is taken from the delivery.
func keyOf(fn KeyFunc, consumer, handler string, d *delivery.Delivery, msg *message.Message) (Key, error) {
	id, err := fn(msg)
	if err == nil && id == "" {
		err = ErrNoKey
	}
	if err != nil {
		return Key{}, fmt.Errorf("find idempotency key: %w", err)
	}
	if consumer == "" {
		consumer = d.Consumer
	}
	if handler == "" {
		handler = d.Handler
	}
	if handler == "" {
		return Key{}, fmt.Errorf("find idempotency key: %w: set Handler in the configuration, the message comes from no router", ErrInvalid)
	}
	k, err := Key{Handler: namespace(consumer, handler), ID: id}.Normalize()
	if err != nil {
		return Key{}, fmt.Errorf("find idempotency key: %w", err)
	}
	return k, nil
}
