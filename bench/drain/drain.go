// Package drain measures how fast a relay carries a full outbox from PostgreSQL
// to Kafka: the table is filled, the relay is started, and the clock stops when
// the topic holds every message. Then the topic is read and checked.
package drain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

// Work is the name of this work in the report.
const Work = "relay drain, PostgreSQL → Kafka"

// chunk is how many messages one transaction writes.
const chunk = 1000

// patience is how long one trial may take.
const patience = 5 * time.Minute

// Config says what is measured.
type Config struct {
	Messages int    // in the outbox when the relay starts
	Payload  int    // bytes of each payload
	Profile  string // file for the CPU profile of the timed part; empty: none
}

// Target is the clean place of one trial.
type Target struct {
	DB    *sql.DB // its search path is an empty schema
	Kafka *server.Kafka
	Topic string // one partition, empty
}

// Keyed is a message and its partition key.
type Keyed struct {
	Key     string
	Message *message.Message
}

// Subject is a relay with its outbox. One value is used for one trial.
type Subject interface {
	// Open makes the tables and connects, so that connecting is not timed.
	Open(ctx context.Context, t Target) error
	// Write puts msgs into the outbox through tx.
	Write(ctx context.Context, tx *sql.Tx, msgs []Keyed) error
	// Relay runs the relay until ctx ends.
	Relay(ctx context.Context) error
	// Close releases what Open has opened.
	Close() error
}

// Cases returns the subjects, ready to be run side by side.
func Cases(pg *server.Postgres, kafka *server.Kafka, config Config) []work.Case {
	d := &drain{pg: pg, kafka: kafka, config: config}
	return []work.Case{
		d.ofCase("plain Watermill forwarder", "components/forwarder, watermill-sql v3.1.0 and watermill-kafka v3.1.3 with their defaults: batch 100, poll 1 s, acks=leader", true,
			func() Subject { return &plain{} }),
		d.ofCase("sluicegate, history kept", "defaults: batch 1000, 2 lanes, delivered rows kept 24 h, acks=all with an idempotent producer", false,
			func() Subject { return &sluicegate{} }),
		d.ofCase("sluicegate, no history", "the same, delivered rows deleted", false,
			func() Subject { return &sluicegate{noHistory: true} }),
	}
}

type drain struct {
	pg     *server.Postgres
	kafka  *server.Kafka
	config Config
}

func (d *drain) ofCase(name, note string, isPlain bool, subject func() Subject) work.Case {
	return work.Case{
		Work: Work, Subject: name, Unit: "messages/s", Note: note, Plain: isPlain, Main: true,
		Trial: func(ctx context.Context) (float64, error) { return d.trial(ctx, subject()) },
	}
}

func (d *drain) trial(ctx context.Context, s Subject) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cleanup := context.WithoutCancel(ctx)
	db, dropSchema, err := d.pg.Scratch(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dropSchema(cleanup)) }()
	topic, dropTopic, err := d.kafka.Scratch(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dropTopic()) }()

	if err := s.Open(ctx, Target{DB: db, Kafka: d.kafka, Topic: topic}); err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := d.fill(ctx, db, s); err != nil {
		return 0, fmt.Errorf("fill: %w", err)
	}
	if err := server.Analyze(ctx, db); err != nil {
		return 0, err
	}
	runtime.GC() // the garbage of filling is not the relay's
	elapsed, err := d.timed(ctx, s, topic)
	if err != nil {
		return 0, err
	}
	a := newAudit(d.config.Messages)
	if err := d.kafka.Read(ctx, topic, a.add); err != nil {
		return 0, err
	}
	if err := a.verdict(); err != nil {
		return 0, err
	}
	return float64(d.config.Messages) / elapsed.Seconds(), nil
}

// fill writes the messages, in transactions of chunk.
func (d *drain) fill(ctx context.Context, db *sql.DB, s Subject) error {
	for first := 0; first < d.config.Messages; first += chunk {
		msgs := make([]Keyed, 0, chunk)
		for seq := first; seq < min(first+chunk, d.config.Messages); seq++ {
			msg, key, err := newMessage(seq, d.config.Payload)
			if err != nil {
				return err
			}
			msgs = append(msgs, Keyed{Key: key, Message: msg})
		}
		if err := inTx(ctx, db, func(tx *sql.Tx) error { return s.Write(ctx, tx, msgs) }); err != nil {
			return err
		}
	}
	return nil
}

func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// timed runs the relay until the topic holds all messages, and stops it.
func (d *drain) timed(ctx context.Context, s Subject, topic string) (time.Duration, error) {
	stopProfile, err := d.profile()
	if err != nil {
		return 0, err
	}
	relayCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- s.Relay(relayCtx) }()
	awaitErr := d.kafka.Await(ctx, topic, int64(d.config.Messages))
	elapsed := time.Since(start)
	profileErr := stopProfile()
	stop()
	return elapsed, errors.Join(awaitErr, profileErr, <-ended)
}

func (d *drain) profile() (stop func() error, err error) {
	if d.config.Profile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(d.config.Profile)
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
