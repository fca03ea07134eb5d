package amqp

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func parse(t *testing.T, raw string) (options, error) {
	t.Helper()
	u, err := urlparam.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return readOptions(u)
}

func TestAShortURLHasSafeDefaults(t *testing.T) {
	o, err := parse(t, "amqp://rabbit")
	if err != nil {
		t.Fatal(err)
	}
	if o.vhost != "/" || o.user != "guest" || o.tls != nil || !slices.Equal(o.addrs, []string{"rabbit:5672"}) {
		t.Errorf("connects to %v %q as %q", o.addrs, o.vhost, o.user)
	}
	if !o.single || o.quorum || o.drop || !o.declare || len(o.groups) > 0 {
		t.Errorf("topology: %+v", o)
	}
	if o.delivery.Concurrency != 64 || o.delivery.Queue != 512-64 || o.prefetch != 512 || o.heartbeat != 10*time.Second || o.publishers != 4 {
		t.Errorf("limits: %+v", o)
	}
}

func TestEveryPartOfTheURLIsRead(t *testing.T) {
	o, err := parse(t, "amqps://us%40er:p%2Fw@h1,h2:7/my%20host?consumer=shared&queue_type=quorum&declare=false&unrouted=drop&confirms=true"+
		"&groups=a/g,b/g,a/h&concurrency=600&heartbeat=30s&tls_server_name=rabbit&max_message_bytes=1000&publishers=2&connection_name=shop")
	if err != nil {
		t.Fatal(err)
	}
	if o.user != "us@er" || o.password != "p/w" || o.vhost != "my host" || !slices.Equal(o.addrs, []string{"h1:5671", "h2:7"}) {
		t.Errorf("connects to %v %q", o.addrs, o.vhost)
	}
	if o.tls == nil || o.tls.ServerName != "rabbit" || o.tls.InsecureSkipVerify {
		t.Error("TLS is not as it was asked for")
	}
	if o.single || !o.quorum || o.declare || !o.drop || !slices.Equal(o.groups["a"], []string{"g", "h"}) || !slices.Equal(o.groups["b"], []string{"g"}) {
		t.Errorf("topology: %+v", o)
	}
	if o.delivery.Concurrency != 600 || o.delivery.Queue != 0 || o.prefetch != 600 || o.heartbeat != 30*time.Second || o.publishers != 2 || o.maxBytes != 1000 {
		t.Errorf("limits: %+v", o)
	}
}

func TestWhatIsWrongIsSaidTogetherAndWithoutTheSecret(t *testing.T) {
	for raw, wants := range map[string][]string{
		"amqp://us:s3cret@h/x?confirms=false&queue_type=classc&prefetch=5&concurency=1": {
			"confirms: must be true", "did you mean classic?", "prefetch: must not be less than concurrency", "did you mean concurrency?"},
		"amqp://us:s3cret@h?tls_ca_file=/x":                 {"tls_ca_file"},
		"amqps://us:s3cret@h?tls_ca_file=/nowhere/s.pem":    {"tls_ca_file: cannot be read"},
		"amqp://s3cret@h":                                   {"a user without a password"},
		"amqp://us:s3cret@h?groups=orders":                  {"groups: must be topic/group pairs"},
		"amqp://us:s3cret@h?groups=amq.topic/g":             {`groups: topic name begins with "amq."`},
		"amqp://us:s3cret@h?heartbeat=1s&nack_delay=0":      {"heartbeat: must be from 2s", "nack_delay"},
		"amqp://us:s3cret@h/" + strings.Repeat("v", 300):    {"virtual host"},
		"amqp://us:s3cret@h?groups=a/g," + "b/c/d&declare=": {"groups", "declare: is empty"},
	} {
		err := broker.Validate(raw)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", raw, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestWhatIsDeclaredFollowsTheParameters(t *testing.T) {
	for raw, want := range map[string]broker.Order{"amqp://h": broker.OrderByKey, "amqps://h?consumer=shared": broker.OrderNone} {
		b, err := broker.Open(t.Context(), raw, broker.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c := b.Capabilities()
		if c.Order != want || c.OldMessages || !c.Persistent || c.MaxMessageBytes != 16<<20 || !strings.HasPrefix(raw, c.Driver+"://") {
			t.Errorf("%s declares %+v", raw, c)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	drop, err := broker.Open(t.Context(), "amqp://h?unrouted=drop", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer drop.Close()
	if g := drop.Capabilities().Guarantee; !strings.Contains(g, "dropped") {
		t.Errorf("unrouted=drop guarantees: %s", g)
	}
}
