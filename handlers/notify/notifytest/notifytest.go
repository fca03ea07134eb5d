// Package notifytest is the suite that notifications pass on each database. Each
// case's name is a guarantee. It runs on virtual time: days pass in no time.
package notifytest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/handlers/notify"
	"github.com/sluicegate/sluicegate/internal/logtest"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Harness tells the suite about a database.
type Harness struct {
	// Open returns a function that connects to the same new tables each time, and
	// their prefix. It is called within a bubble.
	Open func(t *testing.T) (connect func() *sql.DB, prefix string)
	// Verify checks a request as the partner does. Default: our own verifier.
	Verify func(secret string, h http.Header, body []byte) error
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Verify == nil {
		h.Verify = verify
	}
	for _, c := range slices.Concat(scheduleCases, answerCases, targetCases, faultCases, handCases) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connect, prefix := h.Open(t)
				b := &bench{T: t, h: h, connect: connect, prefix: prefix, Partner: NewPartner(), began: time.Now()}
				b.db = connect()
				c.run(b)
			})
		})
	}
}

func verify(secret string, h http.Header, body []byte) error {
	v, err := webhook.NewVerifier(0, secret)
	if err != nil {
		return err
	}
	_, _, err = v.Verify(h, body, time.Now())
	return err
}

type testCase struct {
	name string
	run  func(b *bench)
}

// bench is one case at work.
type bench struct {
	*testing.T
	*Partner
	h       Harness
	connect func() *sql.DB
	prefix  string
	db      *sql.DB
	began   time.Time
	alerts  Alerts
	log     logtest.Buffer
}

var ctx = context.Background()

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// notifier returns one on db, with the clock of the bubble and the fake partner.
func (b *bench) notifier(db *sql.DB, cfg notify.Config) *notify.Notifier {
	b.Helper()
	cfg.Prefix, cfg.Now, cfg.Alerts = b.prefix, time.Now, &b.alerts
	cfg.Logger = slog.New(slog.NewTextHandler(&b.log, nil))
	if cfg.PollMax == 0 {
		cfg.PollMax = time.Hour // due times and Wake are what most cases are about, and days of polls take minutes
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: b.Partner}
	}
	n, err := notify.New(db, cfg)
	b.must(err)
	return n
}

// start runs n; stop ends it and waits for it.
func (b *bench) start(n *notify.Notifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(stop)
	return stop
}

// begin is notifier and start.
func (b *bench) begin(cfg notify.Config) *notify.Notifier {
	b.Helper()
	n := b.notifier(b.db, cfg)
	b.start(n)
	return n
}

// secretOf is the secret of a target.
func secretOf(target string) notify.Secret {
	key := sha256.Sum256([]byte(target))
	return notify.Secret(webhook.SecretPrefix + base64.StdEncoding.EncodeToString(key[:]))
}

func (b *bench) put(n *notify.Notifier, t notify.Target) {
	b.Helper()
	if t.URL == "" {
		t.URL = "https://" + t.Name + ".example/hook"
	}
	if t.Secrets == nil {
		t.Secrets = []notify.Secret{secretOf(t.Name)}
	}
	b.must(n.PutTarget(ctx, t, "ops"))
}

func (b *bench) notify(n *notify.Notifier, target, id string) {
	b.Helper()
	added, err := n.Notify(ctx, notify.Notification{Target: target, ID: id, Type: "paid", Payload: []byte(`{"id":"` + id + `"}`)})
	if err != nil || !added {
		b.Fatalf("%s: %v, %v", id, added, err)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// expect checks how a notification stands.
func (b *bench) expect(n *notify.Notifier, target, id string, status notify.Status, attempts int) notify.Record {
	b.Helper()
	r, err := n.Get(ctx, target, id)
	b.must(err)
	if r.Status != status || r.Attempts != attempts {
		b.Errorf("%s of %s is %s after %d attempts, want %s after %d", id, target, r.Status, r.Attempts, status, attempts)
	}
	return r
}

// near says whether something came when it was due: not before, and at once.
func near(got, want time.Duration) bool { return got >= want && got-want <= 150*time.Millisecond }

// waits checks the times between calls, after the first one, which is at once.
func (b *bench) waits(calls []Call, since time.Time, want ...time.Duration) {
	b.Helper()
	if len(calls) != len(want)+1 {
		b.Fatalf("%d calls, want %d", len(calls), len(want)+1)
	}
	if !near(calls[0].At.Sub(since), 0) {
		b.Errorf("the first call came %s late", calls[0].At.Sub(since))
	}
	for i, w := range want {
		if got := calls[i+1].At.Sub(calls[i].Ended); !near(got, w) {
			b.Errorf("call %d came %s after the end of the one before, want %s", i+2, got, w)
		}
	}
}

// Alerts keeps what it is told.
type Alerts struct {
	mu       sync.Mutex
	emitted  []alert.Alert
	resolved []alert.Alert
}

// Emit is alert.Emitter's.
func (a *Alerts) Emit(one alert.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.emitted = append(a.emitted, one)
}

// Resolve is what an *alert.Notifier has.
func (a *Alerts) Resolve(one alert.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resolved = append(a.resolved, one)
}

// named returns the alerts of a name.
func (a *Alerts) named(name string) (emitted, resolved int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.emitted {
		if one.Name == name {
			emitted++
		}
	}
	for _, one := range a.resolved {
		if one.Name == name {
			resolved++
		}
	}
	return emitted, resolved
}

func (a *Alerts) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%+v", a.emitted)
}
