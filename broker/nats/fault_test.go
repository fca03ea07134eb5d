package nats_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/logtest"
)

func TestNothingIsLostAndOrderIsKeptWhenTheServerDiesUnderLoad(t *testing.T) {
	for params, keys := range map[string]int{"ack_wait=2s": 50, "ack_wait=2s&atomic=false": 500} {
		t.Run(params, func(t *testing.T) {
			s := startServer(t, "")
			b := s.open(params)
			const n = 20_000
			ch := subscribe(t, b.Group("g"), "orders.placed")
			var publishing sync.WaitGroup
			publishing.Go(func() { publishAll(t, b, "orders.placed", n, keys, 1000) })
			publishing.Go(func() {
				for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
					<-time.After(150 * time.Millisecond)
					s.stop(sig)
					<-time.After(50 * time.Millisecond)
					s.start()
				}
			})
			watch(t, n, keys, ch)
			publishing.Wait()
		})
	}
}

func TestAMemberThatEndsHandsOverInOrder(t *testing.T) {
	s := startServer(t, "")
	b := s.open("ack_wait=2s&prefetch=50")
	const n, keys = 4000, 20
	publishAll(t, b, "t", n, keys, 1000)
	members := [2]message.Subscriber{b.Group("g"), b.Group("g")}
	channels := [2]<-chan *message.Message{subscribe(t, members[0], "t"), subscribe(t, members[1], "t")}
	highest, started := map[int]int{}, time.Now()
	for seen, turn := 0, 0; seen < n; turn++ {
		for range 150 { // then the one that is served ends
			var msg *message.Message
			var from int
			select {
			case msg = <-channels[0]:
			case msg = <-channels[1]:
				from = 1
			case <-time.After(patience):
				t.Fatalf("only %d of %d messages came", seen, n)
			}
			turn = from
			number, _ := strconv.Atoi(msg.UUID)
			if want := highest[number%keys]; number/keys > want {
				t.Fatalf("%d of its key came before %d", number/keys, want)
			} else if number/keys == want {
				highest[number%keys]++
				seen++
			}
			msg.Ack()
			if seen == n {
				break
			}
		}
		if seen < n {
			if err := members[turn].Close(); err != nil {
				t.Fatal(err)
			}
			members[turn] = b.Group("g")
			channels[turn] = subscribe(t, members[turn], "t")
		}
	}
	t.Logf("%d messages and %d hand-overs in %s", n, n/150, time.Since(started))
}

func TestAMemberThatIsCutOffLosesItsClaimAndIsFollowedInOrder(t *testing.T) {
	s := startServer(t, "")
	const params = "ack_wait=1s&prefetch=10"
	b := s.open(params)
	publishAll(t, b, "t", 100, 1, 100)
	addr, cut := proxy(t, s.addr)
	dies := openBroker(t, "nats://"+addr+"?"+params)
	held := next(t, subscribe(t, dies.Group("g"), "t"))
	second := subscribe(t, b.Group("g"), "t")
	nothing(t, second, 1600*time.Millisecond, "though the served member lives and its handler runs")
	began := time.Now()
	cut()
	select {
	case <-held.Context().Done():
	case <-time.After(patience):
		t.Fatal("the member that is cut off goes on")
	}
	t.Logf("lost its claim after %s", time.Since(began))
	if msg := next(t, second); msg.UUID != "0" {
		t.Errorf("followed with %s", msg.UUID)
	} else {
		t.Logf("followed after %s", time.Since(began))
		msg.Nack()
	}
	held.Ack() // too late
	watch(t, 100, 1, second)
}

func TestAHandlerMayTakeLongerThanAckWait(t *testing.T) {
	s := startServer(t, "")
	for topic, params := range map[string]string{"key": "ack_wait=500ms", "none": "ack_wait=500ms&order=none"} {
		t.Run(topic, func(t *testing.T) {
			b := s.open(params)
			publishAll(t, b, topic, 1, 1, 1)
			first, second := subscribe(t, b.Group("g"), topic), subscribe(t, b.Group("g"), topic)
			var held *message.Message
			for until := time.After(1600 * time.Millisecond); ; {
				var msg *message.Message
				select {
				case msg = <-first:
				case msg = <-second:
				case <-until:
					if held == nil {
						t.Fatal("it did not come")
					}
					held.Ack()
					return
				}
				if held != nil {
					t.Fatal("it came again while its handler runs")
				}
				held = msg
			}
		})
	}
}

func TestWhatAMemberHeldIsWithTheNextAtOnce(t *testing.T) {
	s := startServer(t, "")
	for topic, params := range map[string]string{"key": "ack_wait=10m", "none": "ack_wait=10m&order=none"} {
		t.Run(topic, func(t *testing.T) {
			b := s.open(params)
			publishAll(t, b, topic, 100, 100, 100)
			ends := b.Group("g")
			next(t, subscribe(t, ends, topic))
			began := time.Now()
			if err := ends.Close(); err != nil {
				t.Fatal(err)
			}
			watch(t, 100, 100, subscribe(t, b.Group("g"), topic))
			t.Logf("after %s", time.Since(began))
		})
	}
}

func TestAServerThatIsAwayAtStartIsWaitedForAndSaidOnce(t *testing.T) {
	s := startServer(t, "")
	s.stop(syscall.SIGKILL)
	var log logtest.Buffer
	b, err := broker.Open(t.Context(), s.url("dial_timeout=200ms"), broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Check(t.Context()); !failure.IsUnavailable(err) {
		t.Errorf("check: %v", err)
	}
	began := time.Now()
	results := b.PublishBatch(t.Context(), []broker.Outgoing{{Topic: "t", Message: keyed("1", "a")}})
	if len(results) != 1 || !failure.IsUnavailable(results[0]) || time.Since(began) > 3*time.Second {
		t.Errorf("publish: %v after %s", results, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if results := b.PublishBatch(ctx, []broker.Outgoing{{Topic: "t", Message: keyed("1", "a")}}); !errors.Is(results[0], context.Canceled) {
		t.Errorf("publish with an ended context: %v", results)
	}
	ch := subscribe(t, b.Group("g"), "t")
	<-time.After(1500 * time.Millisecond)
	if got := log.Count("WARN"); got != 2 { // a line for each of the two connections
		t.Errorf("%d warnings:\n%s", got, log.String())
	}
	s.start()
	publishAll(t, b, "t", 1, 1, 1)
	next(t, ch).Ack()
	if strings.Contains(log.String(), "interrupted") {
		t.Errorf("an interruption is told twice:\n%s", log.String())
	}
}

func TestAStreamThatIsDeletedIsMadeAgain(t *testing.T) {
	s := startServer(t, "")
	b := s.open("")
	ch := subscribe(t, b.Group("g"), "t")
	publishAll(t, b, "t", 1, 1, 1)
	next(t, ch).Ack()
	if err := s.plain().DeleteStream(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	publishAll(t, b, "t", 10, 2, 10)
	watch(t, 10, 2, ch)
}
