package redis

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// newTestMember returns a member of group g of topic t that nobody runs, with
// entries 1-1 to 3-1 in the stream, and a plain client.
func newTestMember(t *testing.T, params string) (*member, *goredis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	u, err := urlparam.Parse("redis://" + server.Addr() + params)
	if err != nil {
		t.Fatal(err)
	}
	o, err := readOptions(u)
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(o, slog.New(slog.DiscardHandler))
	m := newMember(&subscription{driver: d, topic: "t", group: "g", out: make(chan *message.Message), logger: d.logger})
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		m.read.close()
		m.control.close()
		_ = d.Close(context.Background())
		_ = c.Close()
	})
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	m.out = dispatch.New(ctx, m.subscription.out, dispatch.Handlers[*entry]{
		Key: func(e *entry) string { return e.key }, Message: (*entry).message, Acked: func(*entry) {},
	}, dispatch.Config{Concurrency: 1, Queue: 100, Backoff: m.backoff})
	t.Cleanup(func() { cancel(); m.out.Close() })
	if err := d.ensureGroup(t.Context(), m.control, "t", "g"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1-1", "2-1", "3-1"} {
		if err := c.XAdd(t.Context(), &goredis.XAddArgs{Stream: "t", ID: id, Values: []string{fieldPayload, id}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return m, c
}

// owners are the consumers that have something pending.
func owners(t *testing.T, c *goredis.Client) map[string]string {
	t.Helper()
	pending, err := c.XPendingExt(t.Context(), &goredis.XPendingExtArgs{Stream: "t", Group: "g", Start: "-", End: "+", Count: 10}).Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range pending {
		all[p.ID] = p.Consumer
	}
	return all
}

// hand gives the entry to another consumer, as a takeover does.
func hand(t *testing.T, c *goredis.Client, id string) {
	t.Helper()
	err := c.XClaim(t.Context(), &goredis.XClaimArgs{Stream: "t", Group: "g", Consumer: "other", Messages: []string{id}}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnAckMarksOnlyWhatIsStillOurs(t *testing.T) {
	m, c := newTestMember(t, "?order=none")
	if err := m.readShared(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	hand(t, c, "2-1")
	for _, id := range []string{"1-1", "2-1"} {
		m.held.ack(id)
	}
	if err := m.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := owners(t, c); len(got) != 2 || got["2-1"] != "other" || got["3-1"] != m.name {
		t.Errorf("pending are %v", got)
	}
	if got := m.held.all(); len(got) != 1 || got[0] != "3-1" {
		t.Errorf("held are %v", got)
	}
}

func TestAClaimThatSomebodyElseHasIsLost(t *testing.T) {
	m, c := newTestMember(t, "?order=none")
	if err := m.readShared(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := c.XAck(t.Context(), "t", "g", "1-1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := m.beat(t.Context()); err != nil {
		t.Errorf("an entry that is gone: %v", err)
	}
	hand(t, c, "2-1")
	if err := m.beat(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("an entry that another has: %v", err)
	}
}

func TestOnlyTheHolderOfTheLeaseReads(t *testing.T) {
	m, c := newTestMember(t, "")
	if err := m.readInOrder(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("without the lease: %v", err)
	}
	if err := c.Set(t.Context(), m.leaseKey, "other", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := m.readInOrder(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("with another's lease: %v", err)
	}
	if err := m.beat(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("renewed another's lease: %v", err)
	}
	if got := owners(t, c); len(got) > 0 {
		t.Errorf("it has read %v", got)
	}
	if err := c.Set(t.Context(), m.leaseKey, m.name, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := m.readInOrder(t.Context()); err != nil {
		t.Error(err)
	}
	if got := owners(t, c); len(got) != 3 {
		t.Errorf("with the lease it has read %v", got)
	}
}

func TestLeavingHandsBackOursAndNothingElse(t *testing.T) {
	m, c := newTestMember(t, "?order=none")
	if err := m.readShared(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), m.leaseKey, "other", 0).Err(); err != nil {
		t.Fatal(err)
	}
	hand(t, c, "2-1")
	m.held.ack("1-1")
	m.leave()
	if got := owners(t, c); len(got) != 2 || got["2-1"] != "other" || got["3-1"] != returned {
		t.Errorf("pending are %v", got)
	}
	if c.Get(t.Context(), m.leaseKey).Val() != "other" {
		t.Error("another's lease is gone")
	}
}

func TestAMemberThatKnowsNotOfAllItsEntriesStays(t *testing.T) {
	m, c := newTestMember(t, "?order=none")
	if err := m.readShared(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	m.held = newHoldings() // as if the reply had been lost
	m.leave()
	if got := owners(t, c); len(got) != 3 || got["1-1"] != m.name {
		t.Errorf("pending are %v: entries of a removed consumer are never delivered again", got)
	}
}
