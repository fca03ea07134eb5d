package brokertest

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

var deliveryCases = []Case{
	{Name: "every group gets every message", Needs: groups, Run: checkGroups},
	{Name: "the subscribers of one group share the messages", Needs: groups, Run: checkCompeting},
	{Name: "a new group gets what was published before it", Needs: oldMessages, Run: checkOldMessages},
	{Name: "a nacked message comes again after a delay", Run: checkNack},
	{Name: "a message without an ack goes to the next subscriber", Run: checkUnacked},
	{Name: "an ack after the subscription has ended marks nothing", Run: checkLateAck},
	{Name: "what was acked does not come again after a close", Run: checkAckedStaysAcked},
}

func groups(h Harness) bool      { return h.Declared.Groups }
func oldMessages(h Harness) bool { return h.Declared.OldMessages }

func checkGroups(t T, h Harness) {
	r := newRig(t, h)
	stock, points := r.subscribe(unique("stock")), r.subscribe(unique("points"))
	msgs := numbered(40, 4)
	done := r.publish(msgs...)
	other := make(chan map[string]int, 1)
	go func() {
		seen := map[string]int{}
		for range msgs {
			msg, open := <-points.ch
			if !open {
				return
			}
			msg.Ack()
			seen[msg.UUID]++
		}
		other <- seen
	}()
	collect(r, msgs, stock)
	if seen := within(r, other, "the second group's messages"); len(seen) != len(msgs) {
		t.Errorf("the second group got %d of %d messages", len(seen), len(msgs))
	}
	r.published(done)
}

func checkCompeting(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	first, second := r.subscribe(group), r.subscribe(group)
	msgs := numbered(60, 0)
	done := r.publish(msgs...)
	total := 0
	for _, n := range collect(r, msgs, first, second) {
		total += n
	}
	// A member that joins may repeat what was under way. A group whose members
	// each get everything delivers twice as much.
	if total > len(msgs)+len(msgs)/2 {
		t.Errorf("%d deliveries of %d messages: the members do not share them", total, len(msgs))
	}
	r.published(done)
}

func checkOldMessages(t T, h Harness) {
	r := newRig(t, h)
	msgs := numbered(20, 4)
	r.published(r.publish(msgs...))
	collect(r, msgs, r.subscribe(unique("late")))
}

func checkNack(t T, h Harness) {
	r := newRig(t, h)
	c := r.subscribe(unique("group"))
	done := r.publish(newMessage("1", "a"))
	for range 3 {
		msg := c.next()
		start := time.Now()
		msg.Nack()
		again := c.next()
		if again.UUID != msg.UUID || string(again.Payload) != string(msg.Payload) {
			t.Fatalf("message %q with payload %q came after the nack of %q", again.UUID, again.Payload, msg.UUID)
		}
		if waited := time.Since(start); waited < r.h.MinNackDelay {
			t.Errorf("came again after %s, want at least %s", waited, r.h.MinNackDelay)
		}
		again.Nack()
	}
	c.next().Ack()
	r.published(done)
	c.nothing("though it was acked")
}

func checkUnacked(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	c := r.subscribe(group)
	done := r.publish(newMessage("1", "a"))
	c.next()
	c.close()
	if msg := r.subscribe(group).acked(1)[0]; msg.UUID != "1" {
		t.Errorf("got %q", msg.UUID)
	}
	r.published(done)
}

func checkLateAck(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	c := r.subscribe(group)
	done := r.publish(newMessage("1", "a"))
	msg := c.next()
	c.close()
	msg.Ack()
	if again := r.subscribe(group).acked(1)[0]; again.UUID != "1" {
		t.Errorf("got %q", again.UUID)
	}
	r.published(done)
}

func checkAckedStaysAcked(t T, h Harness) {
	r := newRig(t, h)
	group := unique("group")
	c := r.subscribe(group)
	msgs := numbered(20, 1) // one key: its last one is acked after all others
	done := r.publish(msgs...)
	c.acked(len(msgs))
	r.published(done)
	c.close()
	again := r.subscribe(group)
	again.nothing("though it was acked before the close")
	done = r.publish(newMessage("new", "key-0"))
	if msg := again.acked(1)[0]; msg.UUID != "new" {
		t.Errorf("got %q, which was acked before", msg.UUID)
	}
	r.published(done)
}

func checkForeign(t T, h Harness) {
	r := newRig(t, h)
	first, second := r.subscribe(unique("first")), r.subscribe(unique("second"))
	h.Foreign(t, r.topic, []byte("a"), []byte("raw"), nil)
	msg := first.next()
	msg.Nack()
	again := first.acked(1)[0]
	other := second.acked(1)[0]
	if msg.UUID == "" || again.UUID != msg.UUID || other.UUID != msg.UUID {
		t.Errorf("UUIDs %q, %q on redelivery, %q in another group", msg.UUID, again.UUID, other.UUID)
	}
	if string(msg.Payload) != "raw" {
		t.Errorf("payload %q", msg.Payload)
	}
}

func checkQuarantine(t T, h Harness) {
	bad := map[string]struct {
		key     []byte
		headers []Header
	}{
		"a header value that is not UTF-8": {nil, []Header{{[]byte("h"), []byte{0xff, 0xfe}}}},
		"a header name that is not UTF-8":  {nil, []Header{{[]byte{0xff}, []byte("v")}}},
		"a header twice":                   {nil, []Header{{[]byte("h"), []byte("1")}, {[]byte("h"), []byte("2")}}},
		"a key that is not UTF-8":          {[]byte{0xff, 0xfe}, nil},
	}
	for what, record := range bad {
		r := newRig(t, h)
		c := r.subscribe(unique("group"))
		h.Foreign(t, r.topic, record.key, []byte{1, 0xff, 2}, record.headers)
		h.Foreign(t, r.topic, []byte("fine"), []byte("next"), nil)
		byPayload := map[string]*message.Message{}
		for _, msg := range c.acked(2) {
			byPayload[string(msg.Payload)] = msg
		}
		set, fine := byPayload["\x01\xff\x02"], byPayload["next"]
		if set == nil || fine == nil {
			t.Fatalf("%s: payloads %v", what, byPayload)
			return
		}
		if set.Metadata.Get(quarantine) == "" || set.UUID == "" {
			t.Errorf("%s: reason %q, UUID %q", what, set.Metadata.Get(quarantine), set.UUID)
		}
		if reason := fine.Metadata.Get(quarantine); reason != "" {
			t.Errorf("%s: the next message is quarantined: %s", what, reason)
		}
	}
}
