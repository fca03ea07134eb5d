package sluicegate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrHandlerStopped says that a handler gets nothing any more though Run was not
// asked to stop: its subscription ended, or somebody closed the router.
// Watermill's router ends only when all subscriptions have, and until then nobody
// would notice that one of them is dead.
var ErrHandlerStopped = errors.New("handler stopped unasked")

// installed is a handler that the stack has put on a router.
type installed struct {
	router  *message.Router
	name    string
	handler *message.Handler
}

func (s *Stack) watch(router *message.Router, name string, h *message.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers = append(s.handlers, installed{router, name, h})
}

// stopped returns a channel that gets the error of the first of the router's
// handlers that stops, and a function that ends the watch. The router must run.
func (s *Stack) stopped(router *message.Router) (<-chan error, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	out := make(chan error, len(s.handlers))
	for _, h := range s.handlers {
		if h.router != router {
			continue
		}
		wg.Go(func() {
			select {
			case <-h.handler.Stopped():
				out <- fmt.Errorf("%w: the subscription of %q ended", ErrHandlerStopped, h.name)
			case <-ctx.Done():
			}
		})
	}
	return out, func() {
		cancel()
		wg.Wait()
	}
}
