package broker_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a driver that answers what it is told.
type scripted struct {
	results func(msgs []broker.Outgoing) []error
	query   string
	group   string
}

func (s *scripted) PublishBatch(ctx context.Context, msgs []broker.Outgoing) []error {
	if s.results == nil {
		<-ctx.Done()
		return repeat(failure.Unavailable(ctx.Err()), len(msgs))
	}
	return s.results(msgs)
}

func (s *scripted) Subscribe(ctx context.Context, _, group string) (<-chan *message.Message, error) {
	s.group = group
	ch := make(chan *message.Message)
	context.AfterFunc(ctx, func() { close(ch) })
	return ch, nil
}
func (s *scripted) Check(context.Context) error       { return errors.New("away") }
func (s *scripted) Capabilities() broker.Capabilities { return broker.Capabilities{Driver: "scripted"} }
func (s *scripted) Close(context.Context) error       { return nil }

var script = &scripted{}

func init() {
	broker.Register("scripted", func(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
		script.query = u.RawQuery
		if opts.ValidateOnly {
			return nil, nil
		}
		return script, nil
	})
}

func repeat(err error, n int) []error {
	all := make([]error, n)
	for i := range all {
		all[i] = err
	}
	return all
}

func open(t *testing.T, url string, config broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), url, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func msgs(n int) []*message.Message {
	all := make([]*message.Message, n)
	for i := range all {
		all[i] = message.NewMessage("id", nil)
	}
	return all
}

func TestAMixOfFailuresIsPermanentOnlyIfAllAre(t *testing.T) {
	permanent, away := failure.Permanent(errors.New("too large")), failure.Unavailable(errors.New("away"))
	b := open(t, "scripted://h", broker.Config{})
	for _, c := range []struct {
		results   []error
		permanent bool
	}{
		{[]error{nil, permanent, permanent}, true},
		{[]error{permanent, nil, away}, false},
		{[]error{away, permanent, nil}, false},
	} {
		script.results = func([]broker.Outgoing) []error { return c.results }
		err := b.Publish("t", msgs(3)...)
		if err == nil || failure.IsPermanent(err) != c.permanent || !strings.Contains(err.Error(), "2 of 3") {
			t.Errorf("%v gives %v", c.results, err)
		}
	}
}

func TestResultsBelongToTheirMessagesWhenSomeNeverReachTheDriver(t *testing.T) {
	b := open(t, "scripted://h", broker.Config{})
	script.results = func(m []broker.Outgoing) []error {
		if len(m) != 3 || m[0].Topic != "a" || m[1].Topic != "b" || m[2].Topic != "c" {
			t.Errorf("the driver got %v", m)
		}
		return []error{nil, errors.New("b failed"), nil}
	}
	m := message.NewMessage("1", nil)
	got := b.PublishBatch(t.Context(), []broker.Outgoing{{Topic: "a", Message: m}, {Topic: "x"}, {Topic: "b", Message: m}, {Message: m}, {Topic: "c", Message: m}})
	if len(got) != 5 || got[0] != nil || !failure.IsPermanent(got[1]) || got[2] == nil || got[2].Error() != "b failed" || !failure.IsPermanent(got[3]) || got[4] != nil {
		t.Errorf("results %v", got)
	}
}

func TestPublishGivesUpAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script.results = nil
		b := open(t, "scripted://h", broker.Config{PublishTimeout: 5 * time.Second})
		start := time.Now()
		err := b.Publish("t", msgs(1)...)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		_ = b.Close()
	})
}

func TestTheGroupOfTheURLIsNotTheDriversBusiness(t *testing.T) {
	b := open(t, "scripted://h?consumer_group=from-url&x=1", broker.Config{ConsumerGroup: "from-config"})
	if script.query != "x=1" {
		t.Errorf("the driver got the query %q", script.query)
	}
	if _, err := b.Subscribe(t.Context(), "t"); err != nil || script.group != "from-url" {
		t.Errorf("group %q, %v", script.group, err)
	}
}

func TestEveryProblemOfOpenIsReportedTogether(t *testing.T) {
	_, err := broker.Open(t.Context(), "nothing://h", broker.Config{PublishTimeout: -1, CloseTimeout: -1})
	for _, want := range []string{"Config.PublishTimeout", "Config.CloseTimeout", `unknown scheme "nothing"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestAShippedDriverThatIsNotImportedIsNamed(t *testing.T) {
	if err := broker.Validate("kafka://h"); err == nil || !strings.Contains(err.Error(), `import _ "github.com/sluicegate/sluicegate/broker/kafka"`) {
		t.Errorf("got %v", err)
	}
	if err := broker.Validate("scriptd://h"); err == nil || !strings.Contains(err.Error(), "did you mean scripted://?") {
		t.Errorf("got %v", err)
	}
}

func TestACheckThatFailsIsUnavailable(t *testing.T) {
	if err := open(t, "scripted://h", broker.Config{}).Check(t.Context()); !failure.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
}
