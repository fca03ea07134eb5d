package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sluicegate/sluicegate/internal/suggest"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// shipped are the drivers of this module, so that a missing import is told
// apart from a wrong scheme.
var shipped = map[string]string{
	"memory": "github.com/sluicegate/sluicegate/broker/memory",
	"kafka":  "github.com/sluicegate/sluicegate/broker/kafka",
	"amqp":   "github.com/sluicegate/sluicegate/broker/amqp",
	"amqps":  "github.com/sluicegate/sluicegate/broker/amqp",
	"redis":  "github.com/sluicegate/sluicegate/broker/redis",
	"rediss": "github.com/sluicegate/sluicegate/broker/redis",
	"nats":   "github.com/sluicegate/sluicegate/broker/nats",

	"postgres":   "github.com/sluicegate/sluicegate/broker/postgres",
	"postgresql": "github.com/sluicegate/sluicegate/broker/postgres",
	"mysql":      "github.com/sluicegate/sluicegate/broker/mysql",
	"mariadb":    "github.com/sluicegate/sluicegate/broker/mysql",
	"sqlite":     "github.com/sluicegate/sluicegate/broker/sqlite",
}

var (
	driversMu sync.RWMutex
	drivers   = map[string]OpenFunc{}
)

// Register makes a driver available under a URL scheme. Like sql.Register it
// is called from the driver's init and panics where the scheme is empty or
// taken, or open is nil: mistakes in the program and never in its data.
func Register(scheme string, open OpenFunc) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if scheme == "" || scheme != strings.ToLower(scheme) || open == nil {
		panic("broker: Register needs a scheme in lower case and an OpenFunc")
	}
	if _, taken := drivers[scheme]; taken {
		panic("broker: Register called twice for scheme " + scheme)
	}
	drivers[scheme] = open
}

// Schemes lists the registered schemes in alphabetical order.
func Schemes() []string {
	driversMu.RLock()
	defer driversMu.RUnlock()
	return slices.Sorted(maps.Keys(drivers))
}

// target is a URL that was taken apart.
type target struct {
	open  OpenFunc
	url   *url.URL
	group string
}

func resolve(rawURL string) (target, error) {
	u, err := urlparam.Parse(rawURL)
	if err != nil {
		return target{}, err
	}
	driversMu.RLock()
	open, known := drivers[u.Scheme]
	driversMu.RUnlock()
	if !known {
		return target{}, unknownScheme(u.Scheme)
	}
	t := target{open: open, url: u}
	// A query that cannot be parsed is left to the driver, which reports it.
	if values, err := url.ParseQuery(u.RawQuery); err == nil && len(values["consumer_group"]) == 1 {
		if t.group = values.Get("consumer_group"); t.group == "" {
			return target{}, errors.New("parameter consumer_group: is empty")
		}
		values.Del("consumer_group")
		u.RawQuery = values.Encode()
	}
	return t, nil
}

func unknownScheme(scheme string) error {
	if path, ours := shipped[scheme]; ours {
		return fmt.Errorf("scheme %q needs its driver: import _ %q", scheme, path)
	}
	known := append(Schemes(), slices.Collect(maps.Keys(shipped))...)
	if near := suggest.Nearest(scheme, known...); near != "" {
		return fmt.Errorf("unknown scheme %q: did you mean %s://?", scheme, near)
	}
	list := Schemes()
	if len(list) == 0 {
		return fmt.Errorf("unknown scheme %q: no driver is imported", scheme)
	}
	return fmt.Errorf("unknown scheme %q: known are %s", scheme, strings.Join(list, ", "))
}

// Validate checks everything about rawURL that can be checked before
// connecting: its scheme, hosts, ports and parameters. All problems are
// reported together, and no user name, password or unknown value is printed.
func Validate(rawURL string) error {
	t, err := resolve(rawURL)
	if err != nil {
		return fmt.Errorf("broker URL: %w", err)
	}
	d, err := t.open(context.Background(), t.url, Options{Logger: discard, ValidateOnly: true})
	if d != nil {
		err = errors.Join(err, d.Close(context.Background()))
	}
	if err != nil {
		return fmt.Errorf("broker URL: %w", err)
	}
	return nil
}
