package amqp

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/broker/internal/tlsparam"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

type options struct {
	scheme         string
	addrs          []string
	vhost          string
	user, password string
	tls            *tls.Config // nil for amqp://
	name           string
	heartbeat      time.Duration
	dialTimeout    time.Duration

	single   bool
	quorum   bool
	declare  bool
	groups   map[string][]string // of a topic
	drop     bool
	maxBytes int

	publishers int
	delivery   dispatch.Config
	prefetch   int
	horizon    time.Duration
}

func readOptions(u *url.URL) (options, error) {
	var problems []error
	q := urlparam.NewQuery(u)
	o := options{scheme: u.Scheme, vhost: "/", user: "guest", password: "guest"}
	port := 5672
	if u.Scheme == "amqps" {
		port = 5671
		o.tls = tlsparam.Always(q)
	}
	addrs, err := urlparam.Hosts(u.Host, port)
	o.addrs = addrs
	problems = append(problems, err)
	if path := strings.TrimPrefix(u.Path, "/"); path != "" {
		o.vhost = path
	}
	if len(o.vhost) > maxName {
		problems = append(problems, errors.New("the virtual host's name is longer than 255 bytes"))
	}
	if u.User != nil {
		o.user = u.User.Username()
		password, has := u.User.Password()
		if o.password = password; !has || o.user == "" {
			problems = append(problems, errors.New("before the host stands a user without a password, or the other way round"))
		}
	}
	o.readTopology(q)
	o.readConsuming(q)
	o.name = q.String("connection_name", "sluicegate")
	o.heartbeat = q.Duration("heartbeat", 10*time.Second, 2*time.Second, 10*time.Minute)
	o.dialTimeout = q.Duration("dial_timeout", 5*time.Second, 100*time.Millisecond, 5*time.Minute)
	o.publishers = q.Int("publishers", 4, 1, 64)
	o.maxBytes = q.Int("max_message_bytes", 16<<20, 1_000, 512<<20)
	if confirms, given := q.Lookup("confirms"); given && confirms != "true" {
		q.Problem("confirms", "must be true: a message that was not confirmed can be lost")
	}
	problems = append(problems, q.Err())
	return o, errors.Join(problems...)
}

func (o *options) readTopology(q *urlparam.Query) {
	o.single = q.Enum("consumer", "single", "single", "shared") == "single"
	o.quorum = q.Enum("queue_type", "classic", "classic", "quorum") == "quorum"
	o.declare = q.Bool("declare", true)
	o.drop = q.Enum("unrouted", "fail", "fail", "drop") == "drop"
	o.groups = map[string][]string{}
	list, given := q.Lookup("groups")
	if !given || list == "" {
		return
	}
	for pair := range strings.SplitSeq(list, ",") {
		topic, group, found := strings.Cut(pair, "/")
		if !found || topic == "" || group == "" || strings.Contains(group, "/") {
			q.Problem("groups", "must be topic/group pairs, separated by commas")
			return
		}
		if err := errors.Join(checkTopic(topic), checkGroup(topic, group)); err != nil {
			q.Problem("groups", "%w", err)
			return
		}
		o.groups[topic] = append(o.groups[topic], group)
	}
}

func (o *options) readConsuming(q *urlparam.Query) {
	o.horizon = q.Duration("redelivery_horizon", 7*24*time.Hour, time.Minute, 10*365*24*time.Hour)
	concurrency := q.Int("concurrency", 64, 1, 10_000)
	o.prefetch = q.Int("prefetch", max(512, concurrency), 1, 65_535)
	if o.prefetch < concurrency {
		q.Problem("prefetch", "must not be less than concurrency, %d", concurrency)
	}
	o.delivery = dispatch.Config{
		Concurrency: concurrency,
		Queue:       max(0, o.prefetch-concurrency),
		Backoff:     redelivery.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}.FromQuery(q),
	}
}
