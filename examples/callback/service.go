package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
)

// service is ours: two nodes on one database, an outbox, and who receives the
// results.
type service struct {
	db      *sql.DB
	partner *partner
	nodes   [2]*callback.Caller
	servers []*http.Server
	broker  *broker.Broker
	cancel  context.CancelFunc
	running sync.WaitGroup
	plans   []plan

	mu      sync.Mutex
	results map[string][]callback.Ended // what has arrived, by number
	errs    []error
}

func newService(ctx context.Context, db *sql.DB, secret string, p *partner) (*service, error) {
	s := &service{db: db, partner: p, results: map[string][]callback.Ended{}}
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		return nil, fmt.Errorf("make the outbox: %w", err)
	}
	if err := box.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	if s.broker, err = broker.Open(ctx, "memory://", broker.Config{}); err != nil {
		return nil, fmt.Errorf("open the broker: %w", err)
	}
	for i := range s.nodes {
		s.nodes[i], err = callback.New(db, box, callback.Config{
			Service:      "copy",
			Keys:         []string{secret},
			QueryURL:     p.url + "/copies/{number}",
			AllowPrivate: true, // the copy service is on this machine

			// What takes seconds and minutes in production:
			LookUpEvery: 100 * time.Millisecond,                                         // 1 s
			QueryEvery:  600 * time.Millisecond,                                         // 5 min
			SendDelays:  []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, // 1 s, 5 s, 15 s, …
			PollMax:     200 * time.Millisecond,
			Deadline:    30 * time.Second, // 24 h
		})
		if err != nil {
			return nil, fmt.Errorf("make a node: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("/callbacks/copy", s.nodes[i])
		server, url, err := serve(mux)
		if err != nil {
			return nil, err
		}
		s.servers = append(s.servers, server)
		p.callbacks[i] = url + "/callbacks/copy"
	}
	return s, s.start(ctx, box)
}

// start runs the nodes, the relay, and who receives the results.
func (s *service) start(ctx context.Context, box *forwarder.Outbox) error {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	messages, err := s.broker.Group("classrooms").Subscribe(ctx, callback.DefaultTopic)
	if err != nil {
		return fmt.Errorf("subscribe to the results: %w", err)
	}
	s.running.Go(func() {
		for msg := range messages {
			s.receive(msg)
		}
	})
	s.running.Go(func() { s.failed(box.Relay(ctx, s.broker)) })
	for _, node := range s.nodes {
		s.running.Go(func() { s.failed(node.Run(ctx)) })
	}
	return nil
}

func (s *service) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !errors.Is(err, context.Canceled) {
		s.errs = append(s.errs, err)
	}
}

// receive is the handler of results; in a real service a Stack makes its effect happen once.
func (s *service) receive(msg *message.Message) {
	var e callback.Ended
	if err := json.Unmarshal(msg.Payload, &e); err != nil {
		s.failed(err)
	}
	s.mu.Lock()
	s.results[e.Number] = append(s.results[e.Number], e)
	s.mu.Unlock()
	msg.Ack()
}

// submit writes a call with the row of the classroom that is to be copied, in one
// transaction. The node that submits and the one that is called back early differ.
func (s *service) submit(ctx context.Context, what plan) error {
	s.plans = append(s.plans, what)
	s.partner.learn(what)
	if what.way == early { // such as by a number that was handed on another way
		s.partner.later(what, 0, 1, s.partner.secret)
		wait := 20 * time.Millisecond
		if what.slow {
			wait = 400 * time.Millisecond
		}
		<-time.After(wait)
	}
	call := callback.Call{Number: what.number, Kind: "copy_classroom", URL: s.partner.url + "/copies", Body: []byte(`{"room": 7}`)}
	if what.way == silent {
		call.Deadline = 2 * time.Second
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	// Here belongs what the service itself writes.
	if _, err := s.nodes[0].Submit(ctx, tx, call); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.nodes[0].Wake()
	return nil
}

// await waits until every call has ended and its message has arrived, and tells how
// it goes.
func (s *service) await(ctx context.Context, out io.Writer) error {
	for told := -1; ; {
		s.mu.Lock()
		arrived := len(s.results)
		err := errors.Join(s.errs...)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if arrived != told {
			fmt.Fprintf(out, "  %d of %d results have arrived\n", arrived, len(s.plans))
			told = arrived
		}
		if arrived == len(s.plans) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d results have arrived: %w", arrived, len(s.plans), context.Cause(ctx))
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// close ends everything, in the order in which things depend on each other.
func (s *service) close() error {
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.cancel()
	err := s.broker.Close()
	s.running.Wait()
	return errors.Join(append(s.errs, err)...)
}
