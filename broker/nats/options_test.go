package nats

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func mustOptions(t *testing.T, raw string) options {
	t.Helper()
	u, err := urlparam.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	o, err := readOptions(u)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheZeroURLLosesNothingAndKeepsOrder(t *testing.T) {
	o := mustOptions(t, "nats://localhost")
	if o.servers[0] != "nats://localhost:4222" || o.order != broker.OrderByKey || !o.atomic || o.dedupe || o.horizon != 7*day {
		t.Errorf("%+v", o)
	}
	if s := o.created; s.Storage != jetstream.FileStorage || s.Retention != jetstream.LimitsPolicy || s.MaxAge != 7*day || s.MaxBytes != -1 || !s.AllowAtomicPublish {
		t.Errorf("stream %+v", s)
	}
	c := newDriver(o, nil).consumerConfig("g__t", "t")
	if c.AckPolicy != jetstream.AckExplicitPolicy || c.DeliverPolicy != jetstream.DeliverAllPolicy || c.MaxDeliver != -1 ||
		c.MaxAckPending != 1000 || c.AckWait != 6*time.Second || c.PriorityPolicy != jetstream.PriorityPolicyPinned {
		t.Errorf("consumer %+v", c)
	}
}

func TestBadURLsAreRefusedWithWhatToDo(t *testing.T) {
	for raw, wants := range map[string][]string{
		"nats://":                          {"no host"},
		"nats://h:0":                       {"host 1: its port"},
		"nats://h/topic":                   {"no path"},
		"nats://h?replicas=6":              {"replicas: must be a whole number from 1 to 5"},
		"nats://h?storage=disk":            {"storage: unknown value: is one of file, memory"},
		"nats://h?ack_wait=10":             {"ack_wait: must be a duration with its unit"},
		"nats://h?order=keys":              {"did you mean key?"},
		"nats://h?stream=S":                {"subjects: is missing"},
		"nats://h?subjects=a":              {"subjects: needs parameter stream"},
		"nats://h?stream=S&subjects=a,b..": {"subjects: number 2: topic name has an empty part"},
		"nats://h?tls_ca_file=/none":       {"tls_ca_file: cannot be read", "tls: must be true"},
		"nats://u:geheim@h?creds_file=/no": {"creds_file: must not be given beside", "creds_file: cannot be read"},
		"nats://u:geheim@h?conurrency=1":   {"did you mean concurrency?"},
	} {
		err := broker.Validate(raw)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", raw, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the password is shown", raw)
		}
	}
}

func TestTopicsAreSubjectsAndNothingElse(t *testing.T) {
	for _, topic := range []string{"orders", "shop.orders.placed", "größe", "a-b_c", "a/b"} {
		if err := checkTopic(topic); err != nil {
			t.Errorf("%q: %v", topic, err)
		}
	}
	for _, topic := range []string{"", "a b", "a*", "a.>", "$JS.API.STREAM.DELETE.S", "_INBOX.x", ".a", "a.", "a..b", "a\r\nPUB b", "a\xff", strings.Repeat("x", 256)} {
		if checkTopic(topic) == nil {
			t.Errorf("%q is accepted", topic)
		}
	}
}

func TestNamesOfStreamsAndConsumersAreValidAndApart(t *testing.T) {
	if got := streamName("orders"); got != "orders" {
		t.Errorf("stream %q: watermill-nats names it orders", got)
	}
	if got := consumerName("stock", "orders"); got != "stock__orders" {
		t.Errorf("consumer %q", got)
	}
	seen := map[string]string{}
	for _, pair := range [][2]string{{"g", "a.b"}, {"g", "a_b"}, {"g", "a/b"}, {"g__a", "b"}, {"g", "a__b"}, {"g", "a"}, {"g.a", "b"}, {"g", strings.Repeat("x", 250)}} {
		name := consumerName(pair[0], pair[1])
		if strings.ContainsAny(name, " .*>/\\") || len(name) > maxName {
			t.Errorf("%v: %q is no name", pair, name)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("%v and %s are both %q", pair, other, name)
		}
		seen[name] = strings.Join(pair[:], "|")
	}
}

func TestSubjectsOfAStreamHoldTopics(t *testing.T) {
	for subject, topics := range map[string]map[string]bool{
		"a.>":   {"a.b": true, "a.b.c": true, "a": false, "b.a": false},
		"a.*":   {"a.b": true, "a.b.c": false, "a": false},
		"*":     {"a": true, "a.b": false},
		"a.*.c": {"a.b.c": true, "a.b.d": false},
	} {
		for topic, want := range topics {
			if holds([]string{subject}, topic) != want {
				t.Errorf("%s holds %s: %t", subject, topic, !want)
			}
		}
	}
}
