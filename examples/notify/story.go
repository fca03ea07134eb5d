package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/notify"
)

const each = 10 // payments of a merchant, and as many again that are rolled back

var errRolledBack = errors.New("the bank said no")

// story is the payment service, its troubles, and how they end.
type story struct {
	out       io.Writer
	db        *sql.DB
	box       *forwarder.Outbox
	memory    *broker.Broker
	merchants merchants
	notifier  *notify.Notifier
	alerts    atomic.Int64
	counts
}

// Emit takes alerts in place of an *alert.Notifier, which would tell people.
func (s *story) Emit(a alert.Alert) {
	if a.Name == notify.NameExhausted {
		s.alerts.Add(1)
	}
}

// newNotifier has intervals that are compressed: the default goes from a second to an hour.
func (s *story) newNotifier() (err error) {
	s.notifier, err = notify.New(s.db, notify.Config{
		Schedule: notify.Schedule{MaxAttempts: 8, Delays: []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}},
		Timeout:  time.Second, MaxThrottle: 100 * time.Millisecond, MaxPause: 30 * time.Millisecond, PollMax: 100 * time.Millisecond,
		AllowPrivate: true, // these merchants are on this machine
		Alerts:       s,
	})
	return err
}

func (s *story) tell(ctx context.Context) (counts, error) {
	if err := s.newNotifier(); err != nil {
		return s.counts, err
	}
	for _, m := range s.merchants {
		target := notify.Target{Name: m.name, URL: m.server.URL, Secrets: []notify.Secret{m.secret}, Token: m.token}
		if m.name == "says-fail" {
			target.Rule = notify.Rule{Text: []string{"success"}}
		}
		if err := s.notifier.PutTarget(ctx, target, "example"); err != nil {
			return s.counts, err
		}
	}
	for _, chapter := range []func(context.Context) error{s.pay, s.stopInTheMiddle, s.endOfAttempts, s.catchUp, s.heal} {
		if err := chapter(ctx); err != nil {
			return s.counts, err
		}
	}
	return s.counts, s.settle(ctx)
}

// running runs the notifier until the function that it returns is called.
func (s *story) running(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.notifier.Run(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

// pay writes payments: half of the notifications in the payment's own transaction, the
// other half by way of an event in the outbox and a handler of the stack, in whose
// transaction they then are.
func (s *story) pay(ctx context.Context) error {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	stack, err := sluicegate.New(s.db, sluicegate.Config{Consumer: "pay"})
	if err != nil {
		return err
	}
	err = stack.Handle(router, "notify", "payments.settled", s.memory.Group("notify"), s.notifier.Handler(func(msg *message.Message) (notify.Notification, bool, error) {
		return notify.Notification{Target: msg.Metadata.Get("merchant"), Type: "payment.settled", Payload: msg.Payload}, true, nil
	}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handled, relayed := make(chan error, 1), make(chan error, 1)
	go func() { handled <- stack.Run(ctx, router) }()
	<-router.Running()
	go func() { relayed <- s.box.Relay(ctx, s.memory) }()
	for i := range each {
		for _, m := range s.merchants {
			for _, end := range []error{nil, errRolledBack} {
				if err := s.payment(ctx, m.name, i, end); err != nil && !errors.Is(err, errRolledBack) {
					return err
				}
			}
		}
	}
	s.box.Wake()
	want := s.Committed
	err = s.until(ctx, func() (bool, error) {
		all, err := s.total(ctx)
		return all[notify.Waiting]+all[notify.Held]+all[notify.Delivered] == want, err
	})
	cancel()
	fmt.Fprintf(s.out, "%d payments are committed, %d are not; every notification is enqueued\n", s.Committed, s.RolledBack)
	return errors.Join(err, <-handled, <-relayed)
}

func (s *story) payment(ctx context.Context, merchant string, i int, end error) error {
	id := fmt.Sprintf("%s-%d", merchant, i)
	if end != nil {
		id += "-rolled-back"
	}
	payload, err := json.Marshal(map[string]string{"id": id})
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "INSERT INTO payment (id, merchant) VALUES (?, ?)", id, merchant); err != nil {
		return err
	}
	if i%2 == 0 {
		_, err = s.notifier.Enqueue(ctx, tx, notify.Notification{Target: merchant, ID: id, Type: "payment.settled", Payload: payload})
	} else {
		msg := message.NewMessage(id, payload)
		msg.Metadata.Set("merchant", merchant)
		err = s.box.Publish(ctx, tx, "payments.settled", msg)
	}
	if err != nil {
		return err
	}
	if end != nil {
		s.RolledBack++
		return end
	}
	s.Committed++
	return tx.Commit()
}

// stopInTheMiddle has the service restart while it tells.
func (s *story) stopInTheMiddle(ctx context.Context) error {
	stop := s.running(ctx)
	err := s.until(ctx, func() (bool, error) { return s.merchants.posts() >= 10, nil })
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "the service restarts after %d requests\n", s.merchants.posts())
	return s.newNotifier()
}

// endOfAttempts runs until nothing is waiting any more.
func (s *story) endOfAttempts(ctx context.Context) (err error) {
	stop := s.running(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	err = s.until(ctx, func() (bool, error) {
		all, err := s.total(ctx)
		s.Stopped, s.Held = all[notify.Stopped], all[notify.Held]
		return all[notify.Waiting] == 0, err
	})
	fmt.Fprintf(s.out, "all that could be delivered is; %d are stopped (%d alerts), %d are held\n", s.Stopped, s.alerts.Load(), s.Held)
	return err
}

// catchUp has the dead merchant, who is back, ask for what was missed, and confirm some of it.
func (s *story) catchUp(ctx context.Context) error {
	server := httptest.NewServer(s.notifier.Endpoint())
	defer server.Close()
	dead := s.merchants.of("dead")
	dead.mend()
	var missed struct {
		Notifications []struct {
			ID      string          `json:"id"`
			Payload json.RawMessage `json:"payload"`
		} `json:"notifications"`
	}
	if err := ask(ctx, dead, http.MethodGet, server.URL+"/dead/notifications?status=stopped", &missed); err != nil {
		return err
	}
	for _, one := range missed.Notifications[:min(3, len(missed.Notifications))] {
		dead.mu.Lock()
		dead.learn(one.Payload)
		dead.mu.Unlock()
		if err := ask(ctx, dead, http.MethodPost, server.URL+"/dead/notifications/"+one.ID+"/confirm", nil); err != nil {
			return err
		}
		s.Confirmed++
	}
	fmt.Fprintf(s.out, "the merchant who was dead fetched %d and confirmed %d\n", len(missed.Notifications), s.Confirmed)
	return nil
}

func ask(ctx context.Context, m *merchant, method, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+string(m.token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s", method, req.URL.Path, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
