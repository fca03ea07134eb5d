package fault

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

var (
	errAway    = errors.New("injected: the broker cannot be reached")
	errRefused = errors.New("injected: the broker refuses the message")
	errConfirm = errors.New("injected: the confirmation was lost")
)

// Broker is what is broken: *broker.Broker is one.
type Broker interface {
	message.Publisher
	batch.Publisher
	batch.Checker
}

// Publisher breaks the way to the broker: it is away twice in a run, refuses
// some messages, and takes others whose confirmation is then lost. It keeps the
// contract of batch.Publisher, as a broken network does: after a failed message
// none of its key is acknowledged. It is safe for concurrent use.
type Publisher struct {
	Broker
	plan    Plan
	outages []int // messages after which the broker goes away
	outage  time.Duration

	mu     sync.Mutex
	taken  int
	until  time.Time // the outage that goes on
	struck map[topicSKU]map[Kind]int
}

type topicSKU struct{ topic, sku string }

// outage is how long the broker is away: several times what a relay waits.
const outage = 400 * time.Millisecond

// NewPublisher returns a broken way to b, for a run of so many orders.
func NewPublisher(b Broker, plan Plan, orders int) *Publisher {
	return &Publisher{Broker: b, plan: plan, outages: []int{orders / 4, orders}, outage: outage, struck: map[topicSKU]map[Kind]int{}}
}

// refusals is how often a message is refused before it is taken.
const refusals = 2

// Publish publishes as PublishBatch does, without its context.
func (p *Publisher) Publish(topic string, msgs ...*message.Message) error {
	out := make([]batch.Outgoing, len(msgs))
	for i, m := range msgs {
		out[i] = batch.Outgoing{Topic: topic, Message: m}
	}
	return errors.Join(p.PublishBatch(context.Background(), out)...)
}

// Check fails while the broker is away.
func (p *Publisher) Check(ctx context.Context) error {
	if p.away() {
		return failure.Unavailable(errAway)
	}
	return p.Broker.Check(ctx)
}

// PublishBatch publishes what the plan leaves alone.
func (p *Publisher) PublishBatch(ctx context.Context, msgs []batch.Outgoing) []error {
	errs := make([]error, len(msgs))
	if p.away() {
		for i := range errs {
			errs[i] = failure.Unavailable(errAway)
		}
		return errs
	}
	held := map[string]bool{}
	var out []batch.Outgoing
	var index []int
	for i, m := range msgs {
		key := m.Message.Metadata.Get(header.Key)
		if key != "" && held[key] || p.strikes(Refuse, m, refusals) {
			errs[i], held[key] = errRefused, true
			continue
		}
		out, index = append(out, m), append(index, i)
	}
	if len(out) > 0 {
		for j, err := range p.Broker.PublishBatch(ctx, out) {
			errs[index[j]] = err
		}
		p.count(len(out))
	}
	p.loseConfirmations(msgs, errs)
	return errs
}

// loseConfirmations has the broker's yes not arrive, for some messages and the
// later ones of their keys.
func (p *Publisher) loseConfirmations(msgs []batch.Outgoing, errs []error) {
	lost := map[string]bool{}
	for i, m := range msgs {
		if errs[i] != nil {
			continue
		}
		if key := m.Message.Metadata.Get(header.Key); lost[key] || p.strikes(LoseConfirm, m, 1) {
			errs[i], lost[key] = errConfirm, key != ""
		}
	}
}

func (p *Publisher) strikes(kind Kind, m batch.Outgoing, times int) bool {
	sku := skuOf(m.Message)
	if !p.plan.has(kind, "", sku) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := topicSKU{m.Topic, sku}
	if p.struck[at] == nil {
		p.struck[at] = map[Kind]int{}
	}
	if p.struck[at][kind] >= times {
		return false
	}
	p.struck[at][kind]++
	return true
}

func (p *Publisher) away() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}

// count begins an outage where its number has come.
func (p *Publisher) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken += n
	if len(p.outages) > 0 && p.taken >= p.outages[0] {
		p.until, p.outages = time.Now().Add(p.outage), p.outages[1:]
	}
}

// skuOf returns the SKU of the order that m tells of, or "".
func skuOf(m *message.Message) string {
	var o struct {
		SKU string `json:"sku"`
	}
	if err := json.Unmarshal(m.Payload, &o); err != nil {
		return ""
	}
	return o.SKU
}
