package sluicegate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func messageOn(ctx context.Context) *message.Message {
	msg := message.NewMessage("1", nil)
	msg.SetContext(ctx)
	return msg
}

func TestAHandlerAtWorkOutlivesItsMessageByTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(10 * time.Second)
		own, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var ended time.Duration
		h := g.middleware(func(msg *message.Message) ([]*message.Message, error) {
			cancel() // what Watermill's router does at Close
			<-msg.Context().Done()
			ended = time.Since(start)
			return nil, msg.Context().Err()
		})
		if _, err := h(messageOn(own)); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if ended != 10*time.Second {
			t.Fatalf("the handler's context ended after %v, want the grace of 10s", ended)
		}
	})
}

func TestTheGateRestoresTheMessagesContext(t *testing.T) {
	g := newGate(time.Second)
	msg := messageOn(t.Context())
	if _, err := g.middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })(msg); err != nil {
		t.Fatal(err)
	}
	if msg.Context() != t.Context() {
		t.Fatal("the context was not restored")
	}
}

func TestDrainWaitsForHandlersAndKeepsNewMessagesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(time.Minute)
		release := make(chan struct{})
		finished := make(chan error, 2)
		first := make(chan *message.Message, 1)
		h := g.middleware(func(msg *message.Message) ([]*message.Message, error) {
			<-release
			first <- msg
			return nil, nil
		})
		own, cancel := context.WithCancel(t.Context())
		go func() { _, err := h(messageOn(own)); finished <- err }()
		synctest.Wait()

		drained := make(chan bool, 1)
		go func() { drained <- g.drain(t.Context()) }()
		synctest.Wait()
		late, cancelLate := context.WithCancel(t.Context())
		go func() { _, err := h(messageOn(late)); finished <- err }()
		synctest.Wait()
		select {
		case <-drained:
			t.Fatal("drained while a handler was at work")
		case err := <-finished:
			t.Fatalf("a message was answered too early: %v", err)
		default:
		}
		close(release)
		if err := <-finished; err != nil {
			t.Fatalf("the handler at work: %v", err)
		}
		synctest.Wait()
		select {
		case <-drained:
			t.Fatal("drained before the router has acked: the ack would be lost")
		default:
		}
		(<-first).Ack()
		if !<-drained {
			t.Fatal("drain gave up")
		}
		cancelLate()
		if err := <-finished; !errors.Is(err, errDraining) {
			t.Fatalf("the late message got %v, want errDraining", err)
		}
		cancel()
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	g := newGate(time.Minute)
	g.enter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g.drain(ctx) {
		t.Fatal("drain reported idle with a handler at work")
	}
	msg := messageOn(t.Context())
	g.leave(msg)
	msg.Nack()
	if !g.drain(t.Context()) {
		t.Fatal("drain did not see the handler end")
	}
}

func TestARouterThatRunsIsNeverGivenUp(t *testing.T) {
	running, given := make(chan struct{}), 0
	giveUp := unlessClosed(running, func() { given++ })
	if giveUp(); given != 1 {
		t.Error("a router that does not run was not given up")
	}
	close(running)
	if giveUp(); given != 1 {
		t.Error("a router that runs was given up: the messages under way lost their contexts")
	}
}
