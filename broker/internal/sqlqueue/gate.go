package sqlqueue

import (
	"bytes"
	"context"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/header"
)

// stored is a message as it was read.
type stored struct {
	key       string
	uuid      string
	payload   []byte
	headers   []byte
	createdAt int64
}

func (m *stored) size() int { return len(m.key) + len(m.uuid) + len(m.payload) + len(m.headers) + 200 }

// message makes a message that shares nothing with another attempt's.
func (i *item) message() *message.Message {
	metadata, problem := readHeaders(i.headers)
	header.Strip(metadata)
	switch {
	case !utf8.ValidString(i.key):
		delete(metadata, header.Key)
		problem = "the key is not UTF-8"
	case i.key != "":
		metadata[header.Key] = i.key
	}
	if problem != "" {
		metadata[header.Quarantine] = problem
	}
	id := i.uuid
	if id == "" { // written by another program: the same each time
		var b []byte
		b = appendInt(appendInt(b, i.id), i.createdAt)
		id = uuid.NewSHA1(uuid.NameSpaceOID, append(b, "sluicegate queue"...)).String()
	}
	msg := message.NewMessage(id, bytes.Clone(i.payload))
	msg.Metadata = metadata
	return msg
}

func appendInt(b []byte, n int64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift)) //nolint:gosec // one byte of it
	}
	return b
}

// attempt makes the message of an attempt. A second one means that the first
// was nacked: its key is failing.
func (s *subscription) attempt(i *item) *message.Message {
	msg := i.message()
	s.mu.Lock()
	defer s.mu.Unlock()
	i.release()
	i.msg, i.state = msg, waiting
	if i.attempts++; i.attempts > 1 && i.hash != 0 && i.claim.state == open && len(i.claim.failing) < maxFailing {
		if _, known := i.claim.failing[i.hash]; !known {
			i.claim.failing[i.hash] = i.id
			poke(s.room)
		}
	}
	s.byMsg[msg] = i
	return msg
}

// pass hands on what the dispatcher offers, but for items of shards that are
// not ours to hand out any more.
func (s *subscription) pass(ctx context.Context) {
	for {
		select {
		case msg := <-s.mid:
			if !s.admit(msg) {
				msg.Ack() // answered drops it
				continue
			}
			select {
			case s.out <- msg:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// admit says whether msg may be handed out, and gives it a context that ends
// with its claim.
func (s *subscription) admit(msg *message.Message) bool {
	ctx, cancel := context.WithCancel(msg.Context())
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.byMsg[msg]
	delete(s.byMsg, msg)
	if i.claim.state != open || !s.leases.Until(i.claim.held).After(time.Now()) {
		cancel()
		i.dropped = true
		return false
	}
	i.state, i.cancel = out, cancel
	msg.SetContext(ctx)
	return true
}

// release ends the context of the last attempt, which has been answered.
func (i *item) release() {
	if i.cancel != nil {
		i.cancel()
		i.cancel = nil
	}
}

// answered is called by the dispatcher for what was acked.
func (s *subscription) answered(i *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i.release()
	if i.dropped || i.claim.state == dead {
		s.forget(i)
		return
	}
	i.state, i.msg = acked, nil
	s.acked = append(s.acked, i)
	if len(s.acked) == 1 || len(s.acked) == flushRows {
		poke(s.toFlush)
	}
}

// forget takes an item out of the books. The mutex is held.
func (s *subscription) forget(i *item) {
	c := i.claim
	delete(c.items, i.id)
	s.leaveBooks(i)
}

// leaveBooks frees an item's place.
func (s *subscription) leaveBooks(i *item) {
	c := i.claim
	s.held--
	s.bytes -= i.size()
	if i.hash != 0 {
		if c.keys[i.hash]--; c.keys[i.hash] <= 0 {
			delete(c.keys, i.hash)
		}
	}
	if id, failing := c.failing[i.hash]; failing && i.hash != 0 && id == i.id {
		delete(c.failing, i.hash)
		c.window.reset(i.id) // what stands behind it was left out of reads
	}
	poke(s.room)
}
