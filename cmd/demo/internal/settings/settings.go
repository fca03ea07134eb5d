// Package settings gathers what the demo is told, by flags, environment, a
// YAML file and defaults, in this order of precedence, and checks all of it
// before anything connects. Every problem is reported, with the place where
// the value came from and what to do; no secret is repeated.
package settings

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/internal/address"
)

// Settings are checked.
type Settings struct {
	Database    string // URL; empty: SQLite in a temporary folder
	Broker      string // URL, unless Brokers has some
	Idempotency string // URL; empty: the sql strength

	Brokers topology.Config // of a file

	Orders   int           // how many orders a run places
	Seed     uint64        // of the faults of a run
	Output   Output        // how a run reports
	Deadline time.Duration // how long a run may take

	Clients    int    // how many clients place orders in a load
	Seconds    int    // for how long
	CPUProfile string // file for a profile of the load; empty: none

	Listen       string // host:port of the HTTP server
	ListenSet    bool   // it was asked for
	Roles        role.Set
	Objects      string        // folder of the products' pages; empty: a temporary one
	DrainTimeout time.Duration // how long handlers under way may go on
	TopicSuffix  string        // ends the names of topics and groups

	LogLevel slog.Level
}

// Output is how a run reports at its end.
type Output string

// The outputs.
const (
	Text Output = "text"
	JSON Output = "json"
)

// Command is what the settings are for.
type Command string

// The commands.
const (
	Run    Command = "run"
	Serve  Command = "serve"
	Strain Command = "load"
)

// Topology returns Brokers, or what Broker is in its place.
func (s Settings) Topology() topology.Config {
	if len(s.Brokers.Brokers) > 0 {
		return s.Brokers
	}
	return topology.Config{Brokers: map[string]topology.Broker{"main": {URL: s.Broker}}}
}

// LogValue keeps secrets out of logs.
func (s Settings) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("database", redacted(s.Database, "sqlite in a temporary folder")),
		slog.String("broker", s.brokers()),
		slog.String("idempotency", redacted(s.Idempotency, "sql")),
		slog.String("roles", s.Roles.String()),
	)
}

// brokers are the URLs of all brokers, without their secrets.
func (s Settings) brokers() string {
	var all []string
	t := s.Topology()
	for _, name := range slices.Sorted(maps.Keys(t.Brokers)) {
		all = append(all, redacted(t.Brokers[name].URL, ""))
	}
	return strings.Join(all, " ")
}

func redacted(raw, empty string) string {
	if raw == "" {
		return empty
	}
	return address.Redact(raw)
}

// Input is where settings come from.
type Input struct {
	Command Command
	Flags   map[string]string           // flags that were given, by name without dashes
	Env     func(string) (string, bool) // as os.LookupEnv
	File    string                      // YAML file, or ""
}

// Load gathers and checks. The error is Problems.
func Load(in Input) (Settings, error) {
	v, problems := gather(in)
	s := v.parse(&problems)
	if len(problems) == 0 {
		v.combine(in.Command, s, &problems)
	}
	if len(problems) > 0 {
		return Settings{}, problems
	}
	return s, nil
}
