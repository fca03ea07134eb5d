package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/database"
)

// MaxOrders is how many orders a run may place: all are remembered.
const MaxOrders = 1_000_000

// MaxClients is how many clients a load may have.
const MaxClients = 1000

// parse checks each value by itself.
func (v values) parse(problems *Problems) Settings {
	s := Settings{Broker: v.text(keyBroker), ListenSet: v.given(keyListen)}
	check := func(key string, err error) {
		if err != nil {
			note(problems, v.from[key], err)
		}
	}
	var err error
	if v.given(keyDatabase) {
		s.Database = v.text(keyDatabase)
		check(keyDatabase, database.Validate(s.Database))
	}
	if len(v.brokers.Brokers) > 0 && !v.given(keyBroker) { // a flag or a variable swaps them for one
		s.Brokers = v.brokers
	} else {
		check(keyBroker, brokerURL(s.Broker))
	}
	if v.given(keyIdempotency) {
		s.Idempotency = v.text(keyIdempotency)
		check(keyIdempotency, idempotencyURL(s.Idempotency))
	}
	s.Orders, err = number(v.text(keyOrders), 1, MaxOrders)
	check(keyOrders, err)
	s.Clients, err = number(v.text(keyClients), 1, MaxClients)
	check(keyClients, err)
	s.Seconds, err = number(v.text(keySeconds), 1, 3600)
	check(keySeconds, err)
	s.Objects = v.text(keyObjects)
	s.CPUProfile = v.text(keyProfile)
	s.Seed, err = strconv.ParseUint(v.text(keySeed), 10, 64)
	if err != nil {
		check(keySeed, fmt.Errorf("must be a whole number from 0 to %d", uint64(math.MaxUint64)))
	}
	s.Output = Output(v.text(keyOutput))
	check(keyOutput, address.OneOf(string(Text), string(JSON))(string(s.Output)))
	s.Deadline, err = length(v.text(keyDeadline), time.Second, 24*time.Hour)
	check(keyDeadline, err)
	s.DrainTimeout, err = length(v.text(keyDrain), 100*time.Millisecond, time.Hour)
	check(keyDrain, err)
	s.Roles, err = role.Parse(v.text(keyRoles))
	check(keyRoles, err)
	insecure, err := strconv.ParseBool(v.text(keyInsecure))
	if err != nil {
		check(keyInsecure, errors.New("must be true or false"))
	}
	s.TopicSuffix = v.text(keySuffix)
	if !topicSuffix.MatchString(s.TopicSuffix) {
		check(keySuffix, errors.New("must be at most 100 letters, digits, dots, _ and -"))
	}
	s.Listen = v.text(keyListen)
	check(keyListen, listenAddress(s.Listen, insecure))
	s.LogLevel, err = logLevel(v.text(keyLogLevel))
	check(keyLogLevel, err)
	return s
}

// combine checks what only goes wrong together.
func (v values) combine(c Command, s Settings, problems *Problems) {
	if c != Serve || s.Roles.Complete() {
		return
	}
	refuse := func(key, what, use string) {
		note(problems, v.from[keyRoles], fmt.Errorf("the roles %s are one process of several, but %s: %s, or run all roles in one process (%s is %s)",
			s.Roles, what, use, key, redacted(v.text(key), "not given")))
	}
	if s.Database == "" || scheme(s.Database) == "sqlite" || scheme(s.Database) == "sqlite3" {
		refuse(keyDatabase, "SQLite serves one process", "give --database postgres://… or mysql://…")
	}
	memory := func(b topology.Broker) bool { return scheme(b.URL) == "memory" }
	if slices.ContainsFunc(slices.Collect(maps.Values(s.Topology().Brokers)), memory) {
		refuse(keyBroker, "the memory broker ends at the process", "give --broker kafka://…")
	}
	if scheme(s.Idempotency) == "memory" {
		refuse(keyIdempotency, "records in memory are lost with the process", "give --idempotency redis://…, or leave it out for the sql strength")
	}
}

func scheme(raw string) string {
	s, _, _ := strings.Cut(raw, "://")
	return strings.ToLower(s)
}

func brokerURL(raw string) error {
	err := broker.Validate(raw)
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), "broker URL: "))
}

var redisParams = map[string]address.Check{
	"client_name":  address.Text,
	"dial_timeout": address.Duration(0, time.Minute), "read_timeout": address.Duration(0, time.Minute), "write_timeout": address.Duration(0, time.Minute),
	"pool_size": address.Int(1, 10000), "pool_timeout": address.Duration(0, time.Minute), "min_idle_conns": address.Int(0, 10000),
	"max_retries": address.Int(-1, 100), "protocol": address.Int(2, 3), "skip_verify": address.Bool,
}

func idempotencyURL(raw string) error {
	rule := address.Rule{Schemes: []string{"redis", "rediss", "memory"}, Example: "redis://host:6379/0"}
	if scheme(raw) != "memory" {
		rule.Params, rule.NeedHost = redisParams, true
	}
	u, err := address.Parse(raw, rule)
	if err != nil {
		return err
	}
	path := strings.TrimPrefix(u.Path, "/")
	if scheme(raw) == "memory" {
		if u.Host != "" || path != "" || u.User != nil {
			return errors.New("memory:// takes neither a host nor a path: write memory://")
		}
		return nil
	}
	if n, err := strconv.Atoi(path); path != "" && (err != nil || n < 0) {
		return errors.New("the path of a Redis URL is the number of a database: write it as redis://host:6379/0")
	}
	return nil
}

var topicSuffix = regexp.MustCompile(`^[A-Za-z0-9._-]{0,100}$`)

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
	}
	return n, nil
}

func length(text string, low, high time.Duration) (time.Duration, error) {
	if err := address.Duration(low, high)(text); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}

// listenAddress refuses what others could reach: the shop's API has no
// authentication.
func listenAddress(text string, insecure bool) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return errors.New("has a port that is no number from 0 to 65535")
	}
	ip := net.ParseIP(host)
	if insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("is open to other machines, and this server asks nobody who they are: listen on 127.0.0.1, or add --insecure-listen where the network is yours")
}

func logLevel(text string) (slog.Level, error) {
	var l slog.Level
	if err := address.OneOf("debug", "info", "warn", "error")(text); err != nil {
		return l, err
	}
	return l, l.UnmarshalText([]byte(text))
}
