package trap_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/deadletter/deadlettertest"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// inbox returns our transaction middleware on a server.
func inbox(t *testing.T, s *server) message.HandlerMiddleware {
	t.Helper()
	store := must(sqlstore.New(s.DB, sqlstore.Config{Prefix: s.prefix}))(t)
	return must(idempotency.Transaction(idempotency.DB(s.DB, s.dialect.TxOptions()), store, idempotency.TxConfig{}))(t)
}

func (s *server) insert() string { return "INSERT INTO " + s.prefix + "effect (id) VALUES ('order-1')" }

// The handler writes through the transaction that Watermill's SQL subscriber
// offers, and fails twice.
func TestANackOfTheSQLSubscriberKeepsWhatTheHandlerWroteAndOursRollsBack(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		t.Helper()
		t.Run("plain", func(t *testing.T) {
			plain := newPlain(t, s)
			messages, _ := plain.adapters()
			pub := must(wmsql.NewPublisher(s.DB, wmsql.PublisherConfig{SchemaAdapter: messages}, watermill.NopLogger{}))(t)
			if err := pub.Publish(plain.topic, message.NewMessage("1", []byte(`{}`))); err != nil {
				t.Fatal(err)
			}
			sub := plain.subscriber(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in := must(sub.Subscribe(ctx, plain.topic))(t)
			for attempt := 1; attempt <= 3; attempt++ {
				msg, ok := within(t, in, soon)
				if !ok {
					t.Fatal("no delivery")
				}
				tx, ok := wmsql.TxFromContext(msg.Context())
				if !ok {
					t.Fatal("no transaction in the context")
				}
				if _, err := tx.ExecContext(msg.Context(), s.insert()); err != nil {
					t.Fatal(err)
				}
				if attempt < 3 {
					msg.Nack()
				} else {
					msg.Ack()
				}
			}
			n := 0
			for deadline := time.Now().Add(soon); n == 0 && time.Now().Before(deadline); <-timeLimit(t, 10*time.Millisecond) {
				n = s.effects(t)
			}
			if n != 3 {
				t.Errorf("%d effects of one message: the trap is gone", n)
			}
			cancel()
			_ = sub.Close()
			s.exec(t, "DELETE FROM "+s.prefix+"effect")
		})
		t.Run("ours", func(t *testing.T) {
			attempts := 0
			r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
				attempts++
				tx, _ := idempotency.Native[*sql.Tx](msg.Context())
				if _, err := tx.ExecContext(msg.Context(), s.insert()); err != nil {
					return nil, err
				}
				if attempts < 3 {
					return nil, errBoom
				}
				return nil, nil
			}, inbox(t, s))
			if n, outcome := deliver(r, message.NewMessage("1", nil), 5); n != 3 || outcome != routertest.Acked || s.effects(t) != 1 {
				t.Errorf("%d deliveries, %s, %d effects", n, outcome, s.effects(t))
			}
		})
	})
}

// Attempt 1 meets an error of SQL. PostgreSQL then refuses every further
// statement of that transaction.
func TestRetryInsideOnePostgreSQLTransactionNeverRecoversFromASQLErrorAndOursDoes(t *testing.T) {
	s := postgres(t)
	var attempts atomic.Int32
	take := func(ctx context.Context, tx *sql.Tx) error {
		if attempts.Add(1) == 1 {
			_, err := tx.ExecContext(ctx, "INSERT INTO "+s.prefix+"nowhere VALUES (1)")
			return err
		}
		_, err := tx.ExecContext(ctx, s.insert())
		return err
	}
	t.Run("plain", func(t *testing.T) {
		attempts.Store(0)
		h := oneTransaction(s.DB, func(tx *sql.Tx) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) { return nil, take(msg.Context(), tx) }
		}, middleware.Retry{MaxRetries: 3}.Middleware)
		_, err := h(message.NewMessage("1", nil))
		if err == nil || !strings.Contains(err.Error(), "aborted") || attempts.Load() != 4 {
			t.Errorf("%v after %d attempts: the trap is gone", err, attempts.Load())
		}
	})
	t.Run("ours", func(t *testing.T) {
		attempts.Store(0)
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			tx, ok := idempotency.Native[*sql.Tx](msg.Context())
			if !ok {
				return nil, errors.New("no transaction")
			}
			return nil, take(msg.Context(), tx)
		}, must(retry.New(retry.Config{Initial: time.Millisecond}))(t), inbox(t, s))
		if got := r.Deliver(message.NewMessage("1", nil)); got != routertest.Acked || attempts.Load() != 2 || s.effects(t) != 1 {
			t.Errorf("%s after %d attempts, %d effects", got, attempts.Load(), s.effects(t))
		}
	})
}

// The dead letters' table on the real databases.
func TestDeadLetters(t *testing.T) {
	for name, openServer := range map[string]func(*testing.T) *server{"PostgreSQL": postgres, "MariaDB": mariadb} {
		t.Run(name, func(t *testing.T) {
			deadlettertest.Run(t, func(t *testing.T) deadlettertest.Harness {
				t.Helper()
				s := openServer(t)
				return deadlettertest.Harness{DB: s.DB, Config: deadletter.SQLConfig{Prefix: s.prefix}}
			})
		})
	}
}
