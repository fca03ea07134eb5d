// Package contender holds every relay that the bench compares: ours, plain
// Watermill's, those of other libraries, and bare loops that show the limit.
// Each fills its own table in the way that its users do, and relays it in a
// process of its own.
package contender

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// Job is the name of the child's job that runs a contender.
const Job = "relay"

// Place is where a contender works.
type Place struct {
	Name         string `json:"name"`     // of the contender
	DatabaseKind string `json:"kind"`     // of package server
	DatabaseURL  string `json:"database"` // leads to the database or schema of this trial
	BrokerURL    string `json:"broker"`
	Topic        string `json:"topic"`
	Messages     int    `json:"messages"` // that the outbox holds
	Payload      int    `json:"payload"`  // bytes of each
}

// Outbox is the writing side.
type Outbox interface {
	// Prepare makes the tables.
	Prepare(ctx context.Context, db *sql.DB) error
	// Write puts msgs into the outbox through tx.
	Write(ctx context.Context, tx *sql.Tx, msgs []workload.Keyed) error
}

// Contender is one relay with its settings.
type Contender struct {
	Outbox func(Place) Outbox
	Relay  func(Place) child.Task
	// Ordered: it claims to keep the order by key, which is then checked.
	Ordered bool
}

// The names.
const (
	Plain         = "plain"           // Watermill's forwarder, defaults
	PlainTuned    = "plain-tuned"     // batch 1000, poll 10 ms
	PlainPoll     = "plain-poll"      // poll 10 ms, default batch
	Ours          = "ours"            // defaults
	OursNoHistory = "ours-no-history" // delivered rows deleted
	OursNotify    = "ours-notify"     // woken by a notification
	OursTakeover  = "ours-takeover"   // on the table of Watermill's forwarder
	RawOurs       = "raw-ours"        // bare loop on our table with our driver
	RawFastest    = "raw-fastest"     // the same with the fastest client
	RawAMQP       = "raw-amqp"        // RabbitMQ's client alone, no database
	Oagudo        = "oagudo"
	River         = "river"
)

var all = map[string]Contender{
	Plain:         {Outbox: newPlainOutbox, Relay: plainRelay(plainSettings{}), Ordered: true},
	PlainTuned:    {Outbox: newPlainOutbox, Relay: plainRelay(plainSettings{batch: 1000, poll: tunedPoll}), Ordered: true},
	PlainPoll:     {Outbox: newPlainOutbox, Relay: plainRelay(plainSettings{poll: tunedPoll}), Ordered: true},
	Ours:          {Outbox: newOurOutbox, Relay: ourRelay(ourSettings{}), Ordered: true},
	OursNoHistory: {Outbox: newOurOutbox, Relay: ourRelay(ourSettings{noHistory: true}), Ordered: true},
	OursNotify:    {Outbox: newNotifyOutbox, Relay: newNotifyRelay, Ordered: true},
	OursTakeover:  {Outbox: newPlainOutbox, Relay: ourRelay(ourSettings{takeover: true}), Ordered: true},
	RawOurs:       {Outbox: newOurOutbox, Relay: newRawOurs, Ordered: true},
	RawFastest:    {Outbox: newOurOutbox, Relay: newRawFastest, Ordered: true},
	RawAMQP:       {Outbox: newNoOutbox, Relay: newRawAMQP, Ordered: true},
	Oagudo:        {Outbox: newOagudoOutbox, Relay: newOagudoRelay},
	River:         {Outbox: newRiverOutbox, Relay: newRiverRelay},
}

// Of returns the contender of that name.
func Of(name string) (Contender, error) {
	c, known := all[name]
	if !known {
		return Contender{}, fmt.Errorf("no contender %q", name)
	}
	return c, nil
}

// New is the child's job.
func New(spec json.RawMessage) (child.Task, error) {
	var p Place
	if err := json.Unmarshal(spec, &p); err != nil {
		return nil, err
	}
	c, err := Of(p.Name)
	if err != nil {
		return nil, err
	}
	return c.Relay(p), nil
}

// messagesOf returns the messages alone.
func messagesOf(msgs []workload.Keyed) []*message.Message {
	out := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		out[i] = m.Message
	}
	return out
}
