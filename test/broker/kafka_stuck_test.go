package broker_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestAStuckMessageHoldsTheOffsetAndAfterItsWindowThePartition(t *testing.T) {
	const n, window = 100, 40
	b := openKafka(t, fmt.Sprintf("commit_interval=50ms&window=%d", window))
	topic, group := makeTopic(t, 1, nil), unique("g")
	publishNumbered(t, b, topic, n, 1)
	first := b.Group(group)
	ch := subscribe(t, first, topic)
	var stuck *message.Message
	for range window {
		if msg := next(t, ch); string(msg.Payload) == "0 0" {
			stuck = msg
		} else {
			msg.Ack()
		}
	}
	if comes(ch, quiet/3) {
		t.Fatal("the partition runs on")
	}
	if stuck == nil {
		t.Fatal("the first message never came")
	}
	if err := first.Close(); err != nil { // commits
		t.Fatal(err)
	}
	ch = subscribe(t, b.Group(group), topic)
	seen := map[string]bool{}
	for len(seen) < n { // all of the window once more, which is the bound
		msg := next(t, ch)
		seen[string(msg.Payload)] = true
		msg.Ack()
	}
}

func TestTrapAnUnansweredMessageHoldsItsPartitionOnTheStockSubscriber(t *testing.T) {
	b := openKafka(t, "")
	topic := makeTopic(t, 1, nil)
	publishKeyed(t, b, topic, "a", "b")
	stock := subscribe(t, stockSubscriber(t, unique("g"), true), topic)
	next(t, stock)
	if comes(stock, quiet/3) {
		t.Error("another key comes on the stock subscriber: the trap is gone")
	}
	ours := subscribe(t, b.Group(unique("g")), topic)
	next(t, ours)
	if msg := next(t, ours); string(msg.Payload) != "b" {
		t.Errorf("ours gives %q", msg.Payload)
	}
}

// TestKafkaChild is a consumer in a process of its own, for the test below: it
// prints what it has handled.
func TestKafkaChild(t *testing.T) {
	topic, group, ok := strings.Cut(os.Getenv("KAFKA_CHILD"), " ")
	if !ok {
		t.Skip("not started by another test")
	}
	b := openKafka(t, "session_timeout=6s&commit_interval=50ms")
	var mu sync.Mutex
	for msg := range subscribe(t, b.Group(group), topic) {
		go func() {
			<-time.After(5 * time.Millisecond)
			mu.Lock()
			_, _ = fmt.Fprintf(os.Stdout, "handled %s\n", msg.Payload)
			mu.Unlock()
			msg.Ack()
		}()
	}
}

func TestWhatAKilledProcessHadUnderWayIsHandledByTheNext(t *testing.T) {
	const keys, each = 500, 20
	b := openKafka(t, "")
	topic, group := makeTopic(t, 4, nil), unique("g")
	publishNumbered(t, b, topic, keys, each)
	l := newLedger()
	start := func(enough func() bool) {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKafkaChild$")
		child.Env = append(os.Environ(), "KAFKA_CHILD="+topic+" "+group)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(2*patience, func() { _ = child.Process.Kill() })
		defer timer.Stop()
		killed := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			payload, ok := strings.CutPrefix(lines.Text(), "handled ")
			if !ok {
				continue
			}
			l.delivered(payload)
			l.handled[payload] = true
			if !killed && enough() {
				killed = true
				_ = child.Process.Kill() // SIGKILL: it commits nothing and leaves no group
			}
		}
		_ = child.Wait()
	}
	start(func() bool { return len(l.handled) >= keys*each/3 })
	before := len(l.handled)
	start(func() bool { return len(l.handled) == keys*each })
	t.Logf("%d handled before the kill, %d in all, %d deliveries", before, len(l.handled), l.delivers)
	if len(l.handled) != keys*each || before == keys*each {
		t.Errorf("%d of %d messages were handled, %d of them before the kill", len(l.handled), keys*each, before)
	}
	if len(l.inverted) > 0 {
		t.Errorf("came before one of their key: %v", l.inverted)
	}
}
