package trap_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
)

// servers runs a test on both real databases.
func servers(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgres(t)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, mariadb(t)) })
}

// quick retries at once what was refused, and gives up after 5.
var quick = forwarder.RelayConfig{MaxAttempts: 5, RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, Park: forwarder.ParkConfig{Off: true}}

func TestARowThatAlwaysFailsBlocksTheForwarderForEverAndOursSetsItAside(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		t.Helper()
		plain, ours := both(t, s, quick)
		for name, c := range map[string]struct {
			relay     relay
			delivered bool
		}{"plain": {plain, false}, "ours": {ours, true}} {
			t.Run(name, func(t *testing.T) {
				var tried atomic.Int32
				b := newBroker(func(_, uuid string) error {
					if uuid == "bad" {
						tried.Add(1)
						return errBoom
					}
					return nil
				})
				commit(t, s, c.relay, "bad", "good")
				c.relay.run(t, b)
				limit := while
				if c.delivered {
					limit = soon
				}
				uuid, delivered := within(t, b.took, limit)
				if delivered != c.delivered || delivered && uuid != "good" {
					t.Errorf("the row behind was delivered: %t, want %t", delivered, c.delivered)
				}
				if !delivered && tried.Load() < 10 {
					t.Errorf("only %d tries of the failing row: nothing is shown", tried.Load())
				}
				if c.delivered {
					setAside(t, s, "bad")
				}
				t.Logf("%d tries of the failing row", tried.Load())
			})
		}
	})
}

// setAside waits until the message is in the history with its error.
func setAside(t *testing.T, s *server, uuid string) {
	t.Helper()
	status, reason := "", ""
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); <-timeLimit(t, 20*time.Millisecond) {
		err := s.QueryRow("SELECT status, error FROM "+s.prefix+"outbox_history WHERE message_uuid = '"+uuid+"'").Scan(&status, &reason)
		if err == nil {
			break
		}
		if !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
	}
	if status != "failed" || !strings.Contains(reason, errBoom.Error()) {
		t.Errorf("the failing message is %q with %q", status, reason)
	}
	t.Logf("the failing message is %q with %q", status, reason)
}

// A broker that holds one message, while the business writes the next.
func TestAMessageInFlightBlocksTheBusinessInsertOnMariaDBAndOursDoesNot(t *testing.T) {
	s := mariadb(t)
	plain, ours := both(t, s, quick)
	for name, c := range map[string]struct {
		relay   relay
		blocked bool
	}{"plain": {plain, true}, "ours": {ours, false}} {
		t.Run(name, func(t *testing.T) {
			inFlight, release := make(chan struct{}), make(chan struct{})
			b := newBroker(func(_, uuid string) error {
				if uuid == "slow" {
					close(inFlight)
					<-release
				}
				return nil
			})
			commit(t, s, c.relay, "slow")
			c.relay.run(t, b)
			if _, ok := within(t, inFlight, soon); !ok {
				t.Fatal("the first message was not reached")
			}
			written := make(chan error, 1)
			go func() {
				tx, err := s.BeginTx(context.Background(), nil)
				if err == nil {
					if err = c.relay.publish(tx, "topic", "order"); err == nil {
						err = tx.Commit()
					}
				}
				written <- err
			}()
			limit := while
			if !c.blocked {
				limit = soon
			}
			begun := time.Now()
			err, ok := within(t, written, limit)
			took := time.Since(begun)
			if ok == c.blocked || err != nil {
				t.Errorf("written while a message is in flight: %t, %v; want %t", ok, err, !c.blocked)
			}
			close(release)
			if !ok {
				if err, ok = within(t, written, soon); !ok || err != nil {
					t.Errorf("after the message: %t, %v", ok, err)
				}
			}
			t.Logf("the insert took %s while a message was in flight", took)
		})
	}
}

// Somebody else's transaction, which has written elsewhere, stays open.
func TestAnUnrelatedOpenTransactionStallsTheForwarderOnPostgreSQLAndOursGoesOn(t *testing.T) {
	s := postgres(t)
	plain, ours := both(t, s, quick)
	for name, c := range map[string]struct {
		relay   relay
		stalled bool
	}{"plain": {plain, true}, "ours": {ours, false}} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(nil)
			c.relay.run(t, b)
			commit(t, s, c.relay, "before")
			if uuid, ok := within(t, b.took, soon); !ok || uuid != "before" {
				t.Fatalf("without an open transaction: %q, %t", uuid, ok)
			}
			other := must(s.BeginTx(context.Background(), nil))(t)
			defer func() { _ = other.Rollback() }()
			if _, err := other.Exec("INSERT INTO " + s.prefix + "effect (id) VALUES ('elsewhere')"); err != nil {
				t.Fatal(err)
			}
			commit(t, s, c.relay, "during")
			limit := while
			if !c.stalled {
				limit = soon
			}
			begun := time.Now()
			uuid, ok := within(t, b.took, limit)
			if ok == c.stalled {
				t.Errorf("delivered while the transaction is open: %q, %t; want %t", uuid, ok, !c.stalled)
			}
			t.Logf("delivered while the transaction is open: %t after %s", ok, time.Since(begun))
			if err := other.Rollback(); err != nil {
				t.Fatal(err)
			}
			if !ok {
				if uuid, ok = within(t, b.took, soon); !ok {
					t.Error("not even after the transaction")
				}
			}
			if uuid != "during" {
				t.Errorf("delivered %q", uuid)
			}
		})
	}
}

// A clean stop in the middle of a batch, and a new start.
func TestACleanStopMakesTheForwarderSendAgainFromTheFirstMessageAndOursDoesNot(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		t.Helper()
		plain, ours := both(t, s, quick)
		uuids := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		for name, c := range map[string]struct {
			relay relay
			twice bool
		}{"plain": {plain, true}, "ours": {ours, false}} {
			t.Run(name, func(t *testing.T) {
				commit(t, s, c.relay, uuids...)
				sent := map[string]int{}
				reached, release := make(chan struct{}), make(chan struct{})
				var once atomic.Bool
				b := newBroker(func(_, uuid string) error {
					if uuid == "5" && once.CompareAndSwap(false, true) {
						close(reached)
						<-release
					}
					return nil
				})
				stop := c.relay.run(t, b)
				select {
				case <-reached:
				case <-timeLimit(t, soon):
					t.Fatal("the sixth message was not reached")
				}
				stopped := make(chan struct{})
				go func() { stop(); close(stopped) }()
				// The stop is under way, and then the broker answers.
				<-timeLimit(t, 100*time.Millisecond)
				close(release)
				<-stopped
				c.relay.run(t, b)
				for len(sent) < len(uuids) {
					uuid, ok := within(t, b.took, soon)
					if !ok {
						t.Fatalf("lost: only %v", sent)
					}
					sent[uuid]++
				}
				if twice := sent["0"] > 1; twice != c.twice {
					t.Errorf("the first message was sent %d times", sent["0"])
				}
				t.Logf("sent %v", sent)
			})
		}
	})
}
