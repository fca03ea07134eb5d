package brokertest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var declarationCases = []Case{
	{Name: "the declared capabilities are the pinned ones", Run: checkDeclared},
	{Name: "a reachable broker passes its check", Run: checkCheck},
}

func checkDeclared(t T, h Harness) {
	r := newRig(t, h)
	got := r.b.Capabilities()
	if got.Guarantee == "" {
		t.Errorf("Guarantee is empty")
	}
	got.Guarantee = ""
	if !reflect.DeepEqual(got, h.Declared) {
		t.Errorf("declares\n%+v\nwhile pinned are\n%+v", got, h.Declared)
	}
}

func checkCheck(t T, h Harness) {
	r := newRig(t, h)
	if err := r.b.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

var publishCases = []Case{
	{Name: "publish does not return before every group has acked", Needs: consumedAck, Run: checkConsumedAck},
	{Name: "what was published is there after the publisher has gone", Needs: persistent, Run: checkStored},
	{Name: "each message of a batch has a result of its own", Run: checkResults},
	{Name: "a message that is too large is refused for good and the others go on", Needs: limited, Run: checkOversize},
	{Name: "a batch whose context has ended is reported as not acknowledged", Run: checkEndedContext},
	{Name: "nothing to publish is published", Run: checkNothing},
	{Name: "publishers at the same time lose nothing", Run: checkConcurrentPublishers},
}

func consumedAck(h Harness) bool { return h.Declared.ConsumedAck }
func persistent(h Harness) bool  { return h.Declared.Persistent }
func limited(h Harness) bool     { return h.Declared.MaxMessageBytes > 0 }

func checkConsumedAck(t T, h Harness) {
	r := newRig(t, h)
	stock, points := r.subscribe("stock"), r.subscribe("points")
	done := r.publish(newMessage("1", "a"))
	stock.acked(1)
	held := points.next()
	select {
	case err := <-done:
		t.Fatalf("Publish returned (%v) before the second group had acked", err)
	case <-time.After(r.h.Quiet):
	}
	held.Ack()
	r.published(done)
}

func checkStored(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	if !h.Declared.OldMessages {
		r.initialize(group)
	}
	msgs := numbered(50, 5)
	r.published(r.publish(msgs...))
	if err := r.b.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	collect(r, msgs, r.subscribeOn(r.open(), group, r.topic))
}

func checkResults(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	good, alsoGood := newMessage("good", "a"), newMessage("also good", "a")
	batch := append(r.batch(good, nil), broker.Outgoing{Topic: "", Message: newMessage("no topic", "a")})
	batch = append(batch, r.batch(alsoGood)...)
	results := make(chan []error, 1)
	go func() { results <- r.b.PublishBatch(t.Context(), batch) }()
	seen := collect(r, []*message.Message{good, alsoGood}, c)
	if len(seen) != 2 {
		t.Errorf("delivered %v", seen)
	}
	got := within(r, results, "the results")
	if len(got) != 4 {
		t.Fatalf("%d results for 4 messages: %v", len(got), got)
	}
	if got[0] != nil || got[3] != nil {
		t.Errorf("good messages have results %v and %v", got[0], got[3])
	}
	if !failure.IsPermanent(got[1]) || !failure.IsPermanent(got[2]) {
		t.Errorf("impossible messages have results %v and %v, want permanent failures", got[1], got[2])
	}
}

func checkOversize(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	large := newMessage("large", "a")
	large.Payload = []byte(strings.Repeat("x", h.Declared.MaxMessageBytes+1))
	before, after := newMessage("before", "a"), newMessage("after", "a")
	results := make(chan []error, 1)
	go func() { results <- r.b.PublishBatch(t.Context(), r.batch(before, large, after)) }()
	collect(r, []*message.Message{before, after}, c)
	got := within(r, results, "the results")
	if len(got) != 3 || got[0] != nil || got[2] != nil || !failure.IsPermanent(got[1]) {
		t.Errorf("results %v, want a permanent failure of the second alone", got)
	}
}

func checkEndedContext(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := r.b.PublishBatch(ctx, r.batch(numbered(3, 1)...))
	if len(got) != 3 {
		t.Fatalf("%d results for 3 messages: %v", len(got), got)
	}
	for i, err := range got {
		if err == nil || failure.IsPermanent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("result %d is %v, want the context's end, not permanent", i, err)
		}
	}
	c.nothing("though its publish was over before it began")
}

func checkNothing(t T, h Harness) {
	r := newRig(t, h)
	if err := r.b.Publish(r.topic); err != nil {
		t.Errorf("publish nothing: %v", err)
	}
	if got := r.b.PublishBatch(t.Context(), nil); got != nil {
		t.Errorf("publish an empty batch: %v", got)
	}
}

func checkConcurrentPublishers(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	msgs := numbered(80, 0)
	var done []<-chan error
	for i := range 8 {
		done = append(done, r.publish(msgs[i*10:i*10+10]...))
	}
	collect(r, msgs, c)
	for _, d := range done {
		r.published(d)
	}
}
