package topology_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "cAnArY-5ecret"

// fake is a driver that keeps what it is told, under the host of its URL.
type fake struct {
	scheme, query, user, password string
	publish                       func(ctx context.Context, msgs []broker.Outgoing) []error
	away                          error
	group, topic                  string
	closed                        int
	closeErr                      error
}

var (
	fakesMu sync.Mutex
	fakes   map[string]*fake // by host
	noOpen  map[string]error
)

func init() {
	for _, scheme := range []string{"fake", "kafka", "redis", "rediss"} {
		broker.Register(scheme, openFake)
	}
}

func openFake(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	q := urlparam.NewQuery(u)
	for _, known := range []string{"acks", "tls", "nack_delay", "stream"} {
		q.String(known, "")
	}
	q.Int("partitions", 8, 1, 100)
	if err := q.Err(); err != nil || opts.ValidateOnly {
		return nil, err
	}
	fakesMu.Lock()
	defer fakesMu.Unlock()
	if err := noOpen[u.Host]; err != nil {
		return nil, err
	}
	f := fakes[u.Host]
	if f == nil {
		f = &fake{}
		fakes[u.Host] = f
	}
	f.scheme, f.query, f.user = u.Scheme, u.RawQuery, u.User.Username()
	f.password, _ = u.User.Password()
	return f, nil
}

func (f *fake) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	if f.publish == nil {
		return nil
	}
	return f.publish(ctx, msgs)
}

func (f *fake) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	f.topic, f.group = topic, group
	ch := make(chan *message.Message)
	context.AfterFunc(ctx, func() { close(ch) })
	return ch, nil
}
func (f *fake) Check(context.Context) error { return f.away }
func (f *fake) Capabilities() broker.Capabilities {
	return broker.Capabilities{Driver: f.scheme, Guarantee: "Nothing is kept.", Order: broker.OrderByKey, RedeliveryHorizon: 48 * time.Hour, MaxMessageBytes: 1000}
}

func (f *fake) Close(context.Context) error { f.closed++; return f.closeErr }

// reset gives the test fakes of its own.
func reset(t *testing.T, hosts ...string) map[string]*fake {
	t.Helper()
	fakesMu.Lock()
	defer fakesMu.Unlock()
	fakes, noOpen = map[string]*fake{}, map[string]error{}
	for _, h := range hosts {
		fakes[h] = &fake{}
	}
	return fakes
}

func environment(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func parse(t *testing.T, text string, vars map[string]string) topology.Config {
	t.Helper()
	c, err := topology.Parse([]byte(text), environment(vars))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, text string, vars map[string]string) *topology.Topology {
	t.Helper()
	top, err := topology.Open(t.Context(), parse(t, text, vars), broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = top.Close() })
	return top
}

var errAway = errors.New("away")
