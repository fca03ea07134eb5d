package campaign

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/fault"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/progress"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noEnv(string) (string, bool) { return "", false }

func campaign(t *testing.T, adjust func(*node.Config), change func(*settings.Settings)) Summary {
	t.Helper()
	s, err := settings.Load(settings.Input{Command: settings.Run, Env: noEnv, Flags: map[string]string{"orders": "60", "seed": "7", "deadline": "60s"}})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&s)
	}
	if adjust == nil {
		adjust = func(*node.Config) {}
	}
	var shown bytes.Buffer
	summary, err := runWith(t.Context(), s, progress.New(&shown, noEnv), slog.New(slog.DiscardHandler), adjust)
	if err != nil {
		t.Fatalf("%v\n%s", err, shown.String())
	}
	return summary
}

func TestTheLedgerIsExactUnderEveryFault(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	for name, url := range map[string]string{"sql": "", "memory": "memory://", "redis": "redis://" + redis.Addr()} {
		t.Run(name, func(t *testing.T) {
			s := campaign(t, nil, func(s *settings.Settings) { s.Idempotency = url })
			if !s.Exact() || s.Lost != 0 || s.Duplicated != 0 {
				t.Fatalf("%+v: %v", s, s.Problems())
			}
			if s.Orders != 60 || s.Redelivered == 0 || s.Deduplicated == 0 || s.Retried == 0 || s.Parked == 0 || s.DeadLettered == 0 || s.AlertsSent == 0 || s.AlertsSuppressed == 0 ||
				s.HTTPReplayed == 0 || s.MerchantMissed == 0 || s.MerchantAsked == 0 || s.MerchantTold != s.Applied["payment"] ||
				s.CallsEnded != s.Applied["shipping"] || s.CallbacksApplied == 0 || s.CallbacksLate == 0 || s.CallbacksForged == 0 ||
				s.PagesEqual != products || s.PriceChanges < products || s.UploadsFailed == 0 {
				t.Errorf("faults that did not strike: %+v", s)
			}
		})
	}
}

func TestTheSmallestRunIsExact(t *testing.T) {
	t.Parallel()
	s := campaign(t, nil, func(s *settings.Settings) { s.Orders = 1 })
	if !s.Exact() || s.Orders != 1 || s.DeadLettered != 1 {
		t.Errorf("%+v: %v", s, s.Problems())
	}
}

// forgetful loses its records, as a Redis does that was flushed.
type forgetful struct{ idempotency.Store }

func (forgetful) Complete(context.Context, idempotency.Key, string, []byte, time.Duration) error {
	return nil
}

func (forgetful) Claim(context.Context, idempotency.Claim) (idempotency.Record, error) {
	return idempotency.Record{Verdict: idempotency.Won, Attempt: 1}, nil
}

func (forgetful) Extend(context.Context, idempotency.Key, string, time.Duration) error { return nil }
func (forgetful) Release(context.Context, idempotency.Key, string) error               { return nil }

func TestAStoreThatForgetsIsFoundOut(t *testing.T) {
	t.Parallel()
	s := campaign(t, func(c *node.Config) { c.Records = forgetful{memorystore.New()} }, nil)
	if s.Exact() || s.Duplicated == 0 {
		t.Errorf("the ledger is said to be exact: %+v", s)
	}
}

// forgetfulKeys forgets that a request was there.
type forgetfulKeys struct{ httpidem.TxStore }

func (forgetfulKeys) ClaimTx(context.Context, httpidem.Tx, idempotency.Claim) (idempotency.Record, error) {
	return idempotency.Record{Verdict: idempotency.Won, Attempt: 1}, nil
}

func (forgetfulKeys) ResultTx(context.Context, httpidem.Tx, idempotency.Key, []byte) error {
	return nil
}

func TestAGuardThatForgetsIsFoundOut(t *testing.T) {
	t.Parallel()
	s := campaign(t, func(c *node.Config) { c.Keys = forgetfulKeys{} }, nil)
	if s.Exact() || s.Duplicated == 0 || !strings.Contains(strings.Join(s.Problems(), "\n"), "became two orders") {
		t.Errorf("the ledger is said to be exact: %+v: %v", s, s.Problems())
	}
}

// silent leaves some orders out of what partners are told.
type silent struct {
	shop.Partners
	paid, shipped int // how many of each transaction
}

func (s silent) Paid(ctx context.Context, tx *sql.Tx, orders []shop.Order) error {
	return s.Partners.Paid(ctx, tx, orders[s.paid:])
}

func (s silent) Shipped(ctx context.Context, tx *sql.Tx, orders []shop.Order) error {
	return s.Partners.Shipped(ctx, tx, orders[s.shipped:])
}

// forgetfulStore says that it has what it has thrown away.
type forgetfulStore struct{ objectsync.Store }

func (s forgetfulStore) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	info, err := s.Store.Put(ctx, key, b)
	return info, errors.Join(err, s.Delete(ctx, key))
}

func TestPartnersThatDoNotKnowWhatTheyShouldAreFoundOut(t *testing.T) {
	t.Parallel()
	for want, adjust := range map[string]func(*node.Config){
		"it is paid, and the merchant does not know": func(c *node.Config) {
			c.Partners.Break = func(p shop.Partners) shop.Partners { return silent{Partners: p, paid: 1} }
		},
		"it is shipped, and no result of the courier": func(c *node.Config) {
			c.Partners.Break = func(p shop.Partners) shop.Partners { return silent{Partners: p, shipped: 1} }
		},
		"it has no page": func(c *node.Config) { c.Pages = forgetfulStore{c.Pages} },
		`noted is failed "stolen"`: func(c *node.Config) {
			c.Partners.Verify = func(*http.Request, []byte) error { return nil }
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := campaign(t, adjust, nil)
			if s.Exact() || s.Mismatched == 0 || s.Lost != 0 || !strings.Contains(strings.Join(s.Problems(), "\n"), want) {
				t.Errorf("the ledger is said to be exact: %+v: %v", s, s.Problems())
			}
		})
	}
}

// liar says that everything was published, and drops some of it.
type liar struct {
	fault.Broker
}

func (l liar) PublishBatch(ctx context.Context, msgs []batch.Outgoing) []error {
	if len(msgs) > 1 {
		msgs = msgs[1:]
	}
	for _, err := range l.Broker.PublishBatch(ctx, msgs) {
		if err != nil {
			return make([]error, len(msgs)+1)
		}
	}
	return nil
}

func TestABrokerThatDropsMessagesIsFoundOut(t *testing.T) {
	t.Parallel()
	s := campaign(t, func(c *node.Config) {
		c.BreakPublisher = func(b fault.Broker) fault.Broker { return liar{b} }
	}, func(s *settings.Settings) { s.Deadline = 4 * time.Second })
	if s.Exact() || s.Lost == 0 {
		t.Errorf("the ledger is said to be exact: %+v", s)
	}
	if !strings.Contains(strings.Join(s.Problems(), "\n"), "deadline") {
		t.Errorf("the deadline is not told: %v", s.Problems())
	}
}

func TestTheSummaryHasTheFieldsOfTheContractInOneLine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := (Summary{Applied: map[string]int{"stock": 1}}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%q: %v", b.String(), err)
	}
	want := []string{"orders", "applied", "lost", "duplicated", "redelivered", "deduplicated", "retried", "parked",
		"dead_lettered", "alerts_sent", "alerts_suppressed", "elapsed_seconds", "http_replayed", "http_conflicts",
		"merchant_told", "merchant_posts", "merchant_missed", "merchant_asked", "mismatched",
		"calls_ended", "calls_sent", "callbacks_applied", "callbacks_parked", "callbacks_late", "callbacks_forged",
		"pages_equal", "price_changes", "uploads", "uploads_failed"}
	for _, w := range want {
		if _, ok := got[w]; !ok {
			t.Errorf("%s is missing", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("fields are %v, want %v", got, want)
	}
}

func TestARunRefusesADatabaseWhoseOutboxOthersUse(t *testing.T) {
	t.Parallel()
	url := database.SQLiteURL(t.TempDir() + "/shared.db")
	with := func(s *settings.Settings) { s.Database, s.Orders = url, 5 }
	for range 2 { // one run after the other is no trouble, nor do they mix
		if s := campaign(t, nil, with); !s.Exact() || s.Orders != 5 {
			t.Fatalf("%+v: %v", s, s.Problems())
		}
	}
	db, err := database.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(t.Context(), "INSERT INTO sluicegate_lease (name, owner, fence, expires_at) VALUES ('another', 'another', 1, 9000000000000000)")
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load(settings.Input{Command: settings.Run, Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	with(&s)
	_, err = Run(t.Context(), s, progress.New(&bytes.Buffer{}, noEnv), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "others use the outbox") {
		t.Errorf("got %v", err)
	}
}
