package topology

import (
	"fmt"
	"log/slog"
	"time"
)

// Config names brokers, and says which topic is on which. It comes from Parse or is
// built by hand. Printing it, in any way, shows no secret.
type Config struct {
	// Brokers are the brokers by name. At least one.
	Brokers map[string]Broker
	// Topics are the topics that need a word. Default none: see the package's
	// comment for the broker of a topic that is not here.
	Topics map[string]Topic

	lines  map[string]int  // of what Parse has read, by path
	broken map[string]bool // paths whose problems Parse has reported already
}

// Broker says how to open a broker.
type Broker struct {
	// URL is the URL that broker.Open takes. Required.
	URL string
	// Password is put into the URL, which must then have none. Default none.
	Password string
	// ConsumerGroup is that of subscribers that name none, unless the URL has a
	// consumer_group. Default that of the broker.Config given to Open.
	ConsumerGroup string
	// PublishTimeout bounds Publish. Default that of the broker.Config given to Open.
	PublishTimeout time.Duration
	// CloseTimeout bounds Close. Default that of the broker.Config given to Open.
	CloseTimeout time.Duration
	// DriverOptions are URL parameters by scheme; those of other schemes than
	// the URL's are left alone. Default none.
	DriverOptions map[string]map[string]string
}

// Topic says where a topic goes.
type Topic struct {
	// Broker is the name of its broker. Default: "default", or the only one.
	Broker string
	// DeadLetter is the topic for its messages that could not be handled.
	// Default none.
	DeadLetter string
}

// String returns the configuration as YAML, with *** for secrets.
func (c Config) String() string { return c.show() }

// GoString is String, so that %#v shows no secret.
func (c Config) GoString() string { return c.show() }

// LogValue is String for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.show()) }

// String returns the broker as YAML, with *** for secrets.
func (b Broker) String() string { return marshal(b.masked()) }

// GoString is String, so that %#v shows no secret.
func (b Broker) GoString() string { return b.String() }

// LogValue is String for slog.
func (b Broker) LogValue() slog.Value { return slog.StringValue(b.String()) }

var (
	_ fmt.GoStringer = Config{}
	_ slog.LogValuer = Broker{}
)
