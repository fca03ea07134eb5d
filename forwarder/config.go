package forwarder

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// DefaultMaxMessageBytes is what most brokers accept without being configured.
const DefaultMaxMessageBytes = 1 << 20

// Config configures an Outbox. The zero value is ready for use.
type Config struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the tables.
	// Default: the connection's own.
	Schema string
	// Prefix begins the names of the tables and indexes. Default "sluicegate_".
	Prefix string
	// Key returns the partition key of a message, or "" for none. It must be
	// quick and safe for concurrent use. Default, and where it returns "": the
	// key that SetKey has set.
	Key func(topic string, msg *message.Message) string
	// MaxMessageBytes is how large payload, metadata and key of one message may
	// be together, in bytes. Default 1 MiB.
	MaxMessageBytes int
	// Signal wakes relays in other processes. Default nil: they look at the table
	// by themselves, every RelayConfig.PollMin to PollMax.
	Signal Signal
	// SignalEvery is the shortest time between two signals of this process:
	// commits within it share one. Default 2 ms.
	SignalEvery time.Duration
	// Logger takes what the relay has to say; payloads and metadata values are
	// never part of it. Default: silent.
	Logger *slog.Logger
	// Relay configures the relay that Outbox.Relay runs.
	Relay RelayConfig
}

func (c Config) withDefaults(db *sql.DB) (Config, error) {
	var errs []error
	d, err := sqldialect.Configure("Config", db, c.Dialect, c.names())
	if err != nil {
		errs = append(errs, err)
	}
	c.Dialect = d
	switch {
	case c.MaxMessageBytes == 0:
		c.MaxMessageBytes = DefaultMaxMessageBytes
	case c.MaxMessageBytes < 0:
		errs = append(errs, fmt.Errorf("Config.MaxMessageBytes: %d is negative, use 0 for the default of 1 MiB", c.MaxMessageBytes))
	}
	switch {
	case c.SignalEvery == 0:
		c.SignalEvery = 2 * time.Millisecond
	case c.SignalEvery < 0:
		errs = append(errs, fmt.Errorf("Config.SignalEvery: %v is negative, use 0 for the default of 2 ms", c.SignalEvery))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Relay, err = c.Relay.withDefaults(); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func (c Config) names() sqldialect.Names {
	return sqldialect.Names{Schema: c.Schema, Prefix: c.Prefix}
}
