package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/header"
)

// stockRedis returns a subscriber of watermill-redisstream with a client of its
// own, which it closes.
func stockRedis(t *testing.T, url, group string, change func(*wmredis.SubscriberConfig)) *wmredis.Subscriber {
	t.Helper()
	config := wmredis.SubscriberConfig{Client: plainRedis(t, url), ConsumerGroup: group}
	if change != nil {
		change(&config)
	}
	s, err := wmredis.NewSubscriber(config, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func plainRedis(t *testing.T, url string) *goredis.Client {
	t.Helper()
	opts, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func stockRedisPublisher(t *testing.T, url string) *wmredis.Publisher {
	t.Helper()
	p, err := wmredis.NewPublisher(wmredis.PublisherConfig{Client: plainRedis(t, url)}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlainWatermillServicesAreOnTheOtherSideOfRedis(t *testing.T) {
	url, _ := redisServer(t)
	b := openRedis(t, url)
	for i, publisher := range []message.Publisher{stockRedisPublisher(t, url), b} {
		msg := message.NewMessage(fmt.Sprintf("id-%d", i), []byte("payload"))
		msg.Metadata.Set("a", "1")
		msg.Metadata.Set(header.Key, "k")
		if err := publisher.Publish("t", msg, message.NewMessage(fmt.Sprintf("bare-%d", i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]message.Subscriber{"stock": stockRedis(t, url, "stock", nil), "ours": b.Group("ours")} {
		ch := subscribe(t, s, "t")
		got := map[string]*message.Message{}
		for range 4 {
			msg := next(t, ch)
			got[msg.UUID] = msg
			msg.Ack()
		}
		for i := range 2 {
			msg, bare := got[fmt.Sprintf("id-%d", i)], got[fmt.Sprintf("bare-%d", i)]
			if msg == nil || string(msg.Payload) != "payload" || msg.Metadata.Get("a") != "1" || len(msg.Metadata) != 2 {
				t.Errorf("%s reads %v", name, msg)
			}
			if bare == nil || len(bare.Payload) != 0 || len(bare.Metadata) != 0 {
				t.Errorf("%s reads %v", name, bare)
			}
		}
	}
}

// nacks counts how often a message comes within d when it is always nacked.
func nacks(ch <-chan *message.Message, d time.Duration) int {
	n := 0
	for end := time.After(d); ; n++ {
		select {
		case msg := <-ch:
			msg.Nack()
		case <-end:
			return n
		}
	}
}

func TestTrapANackedMessageComesAgainAtOnceOnTheStockRedisSubscriber(t *testing.T) {
	url, _ := redisServer(t)
	b := openRedis(t, url)
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	stock := nacks(subscribe(t, stockRedis(t, url, "stock", nil), "t"), time.Second)
	ours := nacks(subscribe(t, b.Group("ours"), "t"), time.Second)
	t.Logf("within a second: stock %d, ours %d", stock, ours)
	if stock < 1000 {
		t.Errorf("%d redeliveries on the stock subscriber: the trap is gone", stock)
	}
	if ours > 10 {
		t.Errorf("%d redeliveries on ours", ours)
	}
}

func TestTrapANackedMessageLosesItsContextOnTheStockRedisSubscriber(t *testing.T) {
	url, _ := redisServer(t)
	b := openRedis(t, url)
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	second := func(s message.Subscriber) (ended bool) {
		ctx, cancel := context.WithCancel(t.Context())
		ch, err := s.Subscribe(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		next(t, ch).Nack()
		msg := next(t, ch)
		cancel()
		select {
		case <-msg.Context().Done():
			return true
		case <-time.After(time.Second):
			return false
		}
	}
	if second(stockRedis(t, url, "stock", nil)) {
		t.Error("on the stock subscriber its context ends: the trap is gone")
	}
	if !second(b.Group("ours")) {
		t.Error("on ours its context outlives the subscription")
	}
}

func TestTrapARunningMessageIsClaimedOnTheStockRedisSubscriber(t *testing.T) {
	url, _ := redisServer(t)
	b := openRedis(t, url+"?claim_idle=1s&order=none")
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	quick := func(c *wmredis.SubscriberConfig) { c.MaxIdleTime, c.ClaimInterval = time.Second, 200*time.Millisecond }
	stock := func() message.Subscriber { return stockRedis(t, url, "stock", quick) }
	next(t, subscribe(t, stock(), "t"))
	if !comes(subscribe(t, stock(), "t"), 3*quiet) {
		t.Error("on the stock subscriber it is left alone: the trap is gone")
	}
	msg := next(t, subscribe(t, b.Group("ours"), "t"))
	if comes(subscribe(t, b.Group("ours"), "t"), quiet) || msg.Context().Err() != nil {
		t.Error("ours delivers it to another member while it runs")
	}
	msg.Ack()
}

func TestTrapAForeignEntryEndsTheStockRedisSubscription(t *testing.T) {
	url, c := redisServer(t)
	b := openRedis(t, url)
	if err := c.XAdd(t.Context(), &goredis.XAddArgs{Stream: "t", Values: []string{"name", "Bob"}}).Err(); err != nil {
		t.Fatal(err)
	}
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	select {
	case msg, open := <-subscribe(t, stockRedis(t, url, "stock", nil), "t"):
		if open {
			t.Errorf("on the stock subscriber %q comes: the trap is gone", msg.UUID)
		}
	case <-time.After(patience):
		t.Error("the stock subscription goes on: the trap is gone")
	}
	ch := subscribe(t, b.Group("ours"), "t")
	got := map[bool]string{}
	for range 2 {
		msg := next(t, ch)
		got[msg.Metadata.Get(header.Quarantine) != ""] = msg.UUID
		msg.Ack()
	}
	if got[false] != "1" || got[true] == "" {
		t.Errorf("ours gives %v", got)
	}
}

func TestTrapTheStockRedisSubscriberClosesTheClientItWasGiven(t *testing.T) {
	url, c := redisServer(t)
	client := plainRedis(t, url)
	s := stockRedis(t, url, "stock", func(config *wmredis.SubscriberConfig) { config.Client = client })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if client.Ping(t.Context()).Err() == nil {
		t.Error("the client still works: the trap is gone")
	}
	// Ours takes a URL: there is no client to share.
	b := openRedis(t, url)
	g := b.Group("ours")
	subscribe(t, g, "t")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	redisPublished(t, b, "t", message.NewMessage("1", nil))
	if c.XLen(t.Context(), "t").Val() != 1 {
		t.Error("closing a group of ours has closed more")
	}
}

func TestTrapTheStockRedisPublisherSendsOneByOne(t *testing.T) {
	const n = 5000
	url, _ := redisServer(t)
	b, stock := openRedis(t, url), stockRedisPublisher(t, url)
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(watermill.NewShortUUID(), make([]byte, 256))
	}
	took := map[string]time.Duration{}
	for name, publisher := range map[string]message.Publisher{"stock": stock, "ours": b} {
		if err := publisher.Publish("t", msgs[0]); err != nil { // connects
			t.Fatal(err)
		}
		start := time.Now()
		if err := publisher.Publish("t", msgs...); err != nil {
			t.Fatal(err)
		}
		took[name] = time.Since(start)
	}
	t.Logf("%d messages of 256 bytes: stock %s, ours %s, ratio %.1f", n, took["stock"], took["ours"],
		float64(took["stock"])/float64(took["ours"]))
	if took["stock"] < 3*took["ours"] {
		t.Error("ours is hardly faster")
	}
}
