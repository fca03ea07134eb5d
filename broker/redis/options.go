package redis

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/broker/internal/tlsparam"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

type options struct {
	scheme   string
	addr     string
	username string
	password string
	db       int
	tls      *tls.Config // nil without

	ordered     bool
	concurrency int
	prefetch    int
	claimIdle   time.Duration
	backoff     redelivery.Backoff
	retain      time.Duration // 0: nothing is trimmed
	maxlen      int           // 0: no bound

	maxBytes     int
	publishers   int
	waitReplicas int
	waitTimeout  time.Duration
	dialTimeout  time.Duration
	horizon      time.Duration
}

const (
	defaultPort = 6379
	// replyTimeout is how long the server may take for a reply, beside what a
	// command is allowed to wait there.
	replyTimeout = 15 * time.Second
)

func readOptions(u *url.URL) (options, error) {
	q := urlparam.NewQuery(u)
	o := options{
		scheme:       u.Scheme,
		ordered:      q.Enum("order", "key", "key", "none") == "key",
		concurrency:  q.Int("concurrency", 64, 1, 10_000),
		prefetch:     q.Int("prefetch", 500, 0, 100_000),
		claimIdle:    q.Duration("claim_idle", 30*time.Second, time.Second, time.Hour),
		backoff:      redelivery.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}.FromQuery(q),
		retain:       q.Duration("retain", 0, time.Second, 10*365*24*time.Hour),
		maxlen:       q.Int("maxlen", 0, 1, 1_000_000_000),
		maxBytes:     q.Int("max_message_bytes", 1_000_000, 1_000, 100_000_000),
		publishers:   q.Int("publishers", 4, 1, 64),
		waitReplicas: q.Int("wait_replicas", 0, 0, 100),
		waitTimeout:  q.Duration("wait_timeout", time.Second, time.Millisecond, 5*time.Minute),
		dialTimeout:  q.Duration("dial_timeout", 5*time.Second, 100*time.Millisecond, 5*time.Minute),
		horizon:      q.Duration("redelivery_horizon", 7*24*time.Hour, time.Minute, 10*365*24*time.Hour),
	}
	if _, given := q.Lookup("wait_timeout"); given && o.waitReplicas == 0 {
		q.Problem("wait_timeout", "needs wait_replicas")
	}
	var problems []error
	problems = append(problems, o.readServer(u))
	o.readTLS(u, q)
	problems = append(problems, q.Err())
	if err := errors.Join(problems...); err != nil {
		return options{}, err
	}
	return o, nil
}

func (o *options) readServer(u *url.URL) error {
	var problems []error
	addrs, err := urlparam.Hosts(u.Host, defaultPort)
	switch {
	case err != nil:
		problems = append(problems, err)
	case len(addrs) > 1:
		problems = append(problems, errors.New("the URL names several hosts: Redis Cluster and Sentinel are not supported; give the one address of the primary"))
	default:
		o.addr = addrs[0]
	}
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		o.db, err = strconv.Atoi(path)
		if err != nil || o.db < 0 || o.db > 1_000_000 || path[0] == '+' {
			problems = append(problems, errors.New("the URL's path must be the number of the database, as in redis://host:6379/0"))
		}
	}
	o.username = u.User.Username()
	o.password, _ = u.User.Password()
	if u.User != nil && o.password == "" {
		problems = append(problems, errors.New("the URL has a user name without a password: a password alone is written as redis://:password@host"))
	}
	return errors.Join(problems...)
}

// readTLS refuses TLS parameters where they would not be heeded.
func (o *options) readTLS(u *url.URL, q *urlparam.Query) {
	config := tlsparam.Always(q)
	if u.Scheme == "rediss" {
		if host, _, err := net.SplitHostPort(o.addr); err == nil && config.ServerName == "" {
			config.ServerName = host
		}
		o.tls = config
		return
	}
	for _, name := range []string{"tls_ca_file", "tls_cert_file", "tls_key_file", "tls_server_name"} {
		if _, given := q.Lookup(name); given {
			q.Problem(name, "needs the scheme rediss")
		}
	}
}
