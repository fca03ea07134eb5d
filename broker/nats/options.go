package nats

import (
	"crypto/tls"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/broker/internal/tlsparam"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

type options struct {
	servers []string
	tls     *tls.Config // nil without TLS
	auth    []nats.Option

	clientName string
	domain     string

	stream  string // for all topics, or "" for one each
	create  bool
	created jetstream.StreamConfig // without name and subjects

	dedupe          bool
	atomic          bool
	maxMessageBytes int
	publishTimeout  time.Duration

	order       broker.Order
	concurrency int
	prefetch    int
	ackWait     time.Duration
	ackSync     bool
	backoff     redelivery.Backoff

	dialTimeout time.Duration
	horizon     time.Duration
}

const (
	defaultPort = 4222
	day         = 24 * time.Hour
	year        = 365 * day
)

func readOptions(u *url.URL) (options, error) {
	var problems []error
	addrs, err := urlparam.Hosts(u.Host, defaultPort)
	problems = append(problems, err)
	if u.Path != "" && u.Path != "/" {
		problems = append(problems, errors.New("nats:// has no path: topics are named where they are used"))
	}
	q := urlparam.NewQuery(u)
	o := options{
		clientName: q.String("client_name", "sluicegate"),
		domain:     name(q, "domain"),
		stream:     name(q, "stream"),
		create:     q.Bool("create", true),
		created:    readStream(q),

		dedupe:          q.Enum("dedupe", "off", "off", "uuid") == "uuid",
		atomic:          q.Bool("atomic", true),
		maxMessageBytes: q.Int("max_message_bytes", 1_000_000, 1_000, 64<<20),
		publishTimeout:  q.Duration("publish_timeout", 10*time.Second, 100*time.Millisecond, 10*time.Minute),

		order:       broker.Order(q.Enum("order", string(broker.OrderByKey), string(broker.OrderByKey), string(broker.OrderNone))),
		concurrency: q.Int("concurrency", 64, 1, 10_000),
		prefetch:    q.Int("prefetch", 1000, 1, 100_000),
		ackWait:     q.Duration("ack_wait", 6*time.Second, 500*time.Millisecond, time.Hour),
		ackSync:     q.Enum("ack", "async", "async", "sync") == "sync",
		backoff:     redelivery.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}.FromQuery(q),

		dialTimeout: q.Duration("dial_timeout", 5*time.Second, 100*time.Millisecond, 5*time.Minute),
	}
	o.horizon = q.Duration("redelivery_horizon", o.created.MaxAge, time.Minute, 10*year)
	o.created.AllowAtomicPublish = o.atomic
	o.created.Subjects = readSubjects(q, o.stream, o.create)
	config, secure := tlsparam.Read(q)
	if secure {
		o.tls = config
	}
	for _, addr := range addrs {
		o.servers = append(o.servers, "nats://"+addr)
	}
	o.auth = readAuth(q, u.User)
	problems = append(problems, q.Err())
	if err := errors.Join(problems...); err != nil {
		return options{}, err
	}
	return o, nil
}

func readStream(q *urlparam.Query) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Description: "created by sluicegate",
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Replicas:    q.Int("replicas", 1, 1, 5),
		MaxAge:      q.Duration("max_age", 7*day, time.Minute, 10*year),
		MaxBytes:    int64(q.Int("max_bytes", 0, 0, 1<<50)),
		Duplicates:  q.Duration("duplicates", 2*time.Minute, 100*time.Millisecond, day),
	}
	if q.Enum("storage", "file", "file", "memory") == "memory" {
		c.Storage = jetstream.MemoryStorage
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = -1
	}
	return c
}

// name reads the name of a stream or of a domain, which is a part of subjects.
func name(q *urlparam.Query, param string) string {
	v, given := q.Lookup(param)
	if given && (strings.ContainsAny(v, " .*>/\\\t\r\n") || len(v) > maxName) {
		q.Problem(param, `must not have spaces, ".", "*", ">" or slashes, nor more than %d bytes`, maxName)
	}
	return v
}

// readSubjects reads what a created stream holds.
func readSubjects(q *urlparam.Query, stream string, create bool) []string {
	list, given := q.Lookup("subjects")
	switch {
	case given && stream == "":
		q.Problem("subjects", "needs parameter stream: without it each topic has a stream of its own")
		return nil
	case !given && stream != "" && create:
		q.Problem("subjects", "is missing: what shall stream %s hold if it is created? Give it, as in subjects=shop.>,billing.*, or create=false", stream)
		return nil
	case !given:
		return nil
	}
	subjects := strings.Split(list, ",")
	for i, subject := range subjects {
		if err := checkSubject(subject); err != nil {
			q.Problem("subjects", "number %d: %w", i+1, err)
		}
	}
	return subjects
}

func readAuth(q *urlparam.Query, user *url.Userinfo) []nats.Option {
	file, hasFile := q.Lookup("creds_file")
	if hasFile {
		if user != nil {
			q.Problem("creds_file", "must not be given beside a user name in the URL")
		}
		if _, err := os.ReadFile(file); err != nil {
			q.Problem("creds_file", "cannot be read: %w", err)
		}
		return []nats.Option{nats.UserCredentials(file)}
	}
	if user == nil {
		return nil
	}
	if password, has := user.Password(); has {
		return []nats.Option{nats.UserInfo(user.Username(), password)}
	}
	return []nats.Option{nats.Token(user.Username())}
}
