package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

var errBoom = errors.New("boom")

// shelf is a store that keeps what it is given, or fails.
type shelf struct {
	letters []deadletter.Letter
	put     func(ctx context.Context) error
}

func (s *shelf) Put(ctx context.Context, l deadletter.Letter) error {
	if s.put != nil {
		if err := s.put(ctx); err != nil {
			return err
		}
	}
	s.letters = append(s.letters, l)
	return nil
}

type events []deadletter.Event

func (e *events) observe(ev deadletter.Event) { *e = append(*e, ev) }

func wrap(t *testing.T, s deadletter.Store, cfg deadletter.Config, h message.HandlerFunc) message.HandlerFunc {
	t.Helper()
	m, err := deadletter.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m(h)
}

func failing(err error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("out", nil)}, err
	}
}

func TestAFailureIsStoredAndThenAckedWithoutTheFailedHandlersOutputs(t *testing.T) {
	s, told := &shelf{}, &events{}
	out, err := wrap(t, s, deadletter.Config{Observe: told.observe}, failing(errBoom))(message.NewMessage("1", nil))
	if out != nil || err != nil || len(s.letters) != 1 {
		t.Fatal(out, err, s.letters)
	}
	if e := (*told)[0]; len(*told) != 1 || e.Kind != event.DeadLettered || e.MessageID != "1" || e.Attempt != 1 || !errors.Is(e.Err, errBoom) {
		t.Fatalf("%+v", *told)
	}
}

func TestTheLetterHoldsTheMessageAsItWasReceivedAndEveryAttempt(t *testing.T) {
	s := &shelf{}
	msg := message.NewMessage("1", []byte("sealed"))
	msg.Metadata.Set("customer", "42")
	msg.SetContext(delivery.With(t.Context(), &delivery.Delivery{Consumer: "shop", Handler: "stock", Topic: "orders"}))
	_, err := wrap(t, s, deadletter.Config{}, func(msg *message.Message) ([]*message.Message, error) {
		d := delivery.From(msg.Context())
		d.SetKey("order-1")
		d.Add(1, time.Now(), time.Second, errors.New("first"))
		d.Add(2, time.Now(), time.Second, errBoom)
		copy(msg.Payload, "opened")
		msg.UUID = "2"
		msg.Metadata.Set("customer", "43")
		msg.Metadata.Set("more", "x")
		msg.SetContext(context.Background())
		return nil, errBoom
	})(msg)
	if err != nil {
		t.Fatal(err)
	}
	l := s.letters[0]
	if l.Message.UUID != "1" || string(l.Message.Payload) != "sealed" || len(l.Message.Metadata) != 1 || l.Message.Metadata.Get("customer") != "42" {
		t.Errorf("message %s %s %v", l.Message.UUID, l.Message.Payload, l.Message.Metadata)
	}
	if l.Consumer != "shop" || l.Handler != "stock" || l.Scope() != "shop/stock" || l.Topic != "orders" || l.Key != "order-1" || l.Reason != "boom" || !errors.Is(l.Err, errBoom) {
		t.Errorf("%+v", l)
	}
	if len(l.Attempts) != 2 || l.Attempts[0].Err != "first" || l.Attempts[1].Number != 2 || l.At.IsZero() {
		t.Errorf("%+v", l.Attempts)
	}
}

func TestWithoutALayerThatCountsThereIsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		msg := message.NewMessage("1", nil)
		msg.Metadata.Set(header.IdempotencyKey, "order-1")
		start := time.Now()
		_, _ = wrap(t, s, deadletter.Config{}, func(*message.Message) ([]*message.Message, error) {
			_ = backoff.Wait(context.Background(), time.Second)
			return nil, errBoom
		})(msg)
		l := s.letters[0]
		if len(l.Attempts) != 1 || l.Attempts[0] != (deadletter.Attempt{Number: 1, StartedAt: start, Duration: time.Second, Err: "boom"}) || l.Key != "order-1" {
			t.Fatalf("%+v", l)
		}
	})
}

func TestAShutdownIsNotAFailureWhateverTheErrorSays(t *testing.T) {
	for _, failed := range []error{context.Canceled, errBoom, failure.Permanent(errBoom)} {
		s, told := &shelf{}, &events{}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := wrap(t, s, deadletter.Config{Observe: told.observe}, func(*message.Message) ([]*message.Message, error) {
			cancel()
			return nil, failed
		})(message.NewMessageWithContext(ctx, "1", nil))
		if err != failed || len(s.letters) != 0 || (*told)[0].Kind != event.Returned { //nolint:errorlint // as it is
			t.Fatal(err, s.letters, *told)
		}
	}
}

func TestACancelledContextOfTheHandlersOwnIsAFailure(t *testing.T) {
	s := &shelf{}
	_, err := wrap(t, s, deadletter.Config{}, func(msg *message.Message) ([]*message.Message, error) {
		ctx, cancel := context.WithCancel(msg.Context())
		cancel()
		msg.SetContext(ctx) // and left behind, as Watermill's Timeout does
		return nil, ctx.Err()
	})(message.NewMessage("1", nil))
	if err != nil || len(s.letters) != 1 {
		t.Fatal(err, s.letters)
	}
}

func TestAnAbsenceGoesBackAndIsNotStored(t *testing.T) {
	s, told := &shelf{}, &events{}
	away := failure.Unavailable(errBoom)
	_, err := wrap(t, s, deadletter.Config{Observe: told.observe}, failing(away))(message.NewMessage("1", nil))
	if err != away || len(s.letters) != 0 || (*told)[0].Kind != event.Returned || (*told)[0].Attempt != 0 { //nolint:errorlint // as it is
		t.Fatal(err, s.letters, *told)
	}
}

func TestALetterThatCannotBeStoredIsNotAcked(t *testing.T) {
	full, told := errors.New("disk full"), &events{}
	s := &shelf{put: func(context.Context) error { return full }}
	out, err := wrap(t, s, deadletter.Config{Observe: told.observe}, failing(errBoom))(message.NewMessage("1", nil))
	var notStored *deadletter.StoreError
	if out != nil || !errors.As(err, &notStored) || !errors.Is(err, full) || !errors.Is(err, errBoom) || len(*told) != 0 {
		t.Fatal(out, err, *told)
	}
}

func TestStoringOutlivesAShutdownButNotItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &shelf{put: func(ctx context.Context) error {
			cancel() // the router closes while the letter is on its way
			_ = backoff.Wait(context.Background(), time.Second)
			return ctx.Err()
		}}
		if _, err := wrap(t, s, deadletter.Config{}, failing(errBoom))(message.NewMessageWithContext(ctx, "1", nil)); err != nil || len(s.letters) != 1 {
			t.Fatal(err)
		}
		s.put = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		start := time.Now()
		_, err := wrap(t, s, deadletter.Config{}, failing(errBoom))(message.NewMessage("1", nil))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != deadletter.DefaultPutTimeout {
			t.Fatal(err, time.Since(start))
		}
	})
}

func TestAHugeReasonIsShortenedBetweenRunes(t *testing.T) {
	s := &shelf{}
	_, _ = wrap(t, s, deadletter.Config{MaxReason: 100}, failing(errors.New(strings.Repeat("错", 1<<20))))(message.NewMessage("1", nil))
	if r := s.letters[0].Reason; len(r) > 100 || len(r) < 90 || !utf8.ValidString(r) {
		t.Fatalf("%d bytes: %q", len(r), r)
	}
}

func TestSuccessPassesItsOutputsOn(t *testing.T) {
	s := &shelf{}
	out, err := wrap(t, s, deadletter.Config{}, failing(nil))(message.NewMessage("1", nil))
	if err != nil || len(out) != 1 || len(s.letters) != 0 {
		t.Fatal(out, err)
	}
}

func TestItWorksAloneOnAPlainRouterAndPoisonsNothingAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		m, err := deadletter.New(s, deadletter.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			if msg.UUID == "long" {
				<-msg.Context().Done()
				return nil, msg.Context().Err()
			}
			return nil, errBoom
		}, m)
		if got := r.Deliver(message.NewMessage("bad", nil)); got != routertest.Acked || len(s.letters) != 1 {
			t.Fatal(got, s.letters)
		}
		if l := s.letters[0]; l.Handler != routertest.Handler || l.Topic != routertest.Topic || l.Subscriber == "" {
			t.Fatalf("%+v", l)
		}
		inFlight := r.Begin(message.NewMessage("long", nil))
		synctest.Wait()
		r.Close(t)
		if got := <-inFlight; got != routertest.Nacked || len(s.letters) != 1 {
			t.Fatal(got, s.letters)
		}
	})
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := deadletter.New(nil, deadletter.Config{PutTimeout: -1, MaxReason: 3})
	for _, field := range []string{"store", "Config.PutTimeout", "Config.MaxReason"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
