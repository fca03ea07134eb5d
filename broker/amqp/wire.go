package amqp

import (
	"net"
	"sync"
)

// maxPending is how much may wait to be written before Write waits as well.
const maxPending = 256 << 10

// wire gathers what is written to a connection while the write before it is
// under way, so that many small frames leave together. The client library
// flushes after every message and every ack: a system call each.
type wire struct {
	net.Conn

	mu      sync.Mutex
	work    *sync.Cond // something is pending, or err
	room    *sync.Cond // less is pending, or err
	pending []byte
	err     error // of a write, or that of Close
	done    chan struct{}
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, done: make(chan struct{})}
	w.work, w.room = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write takes all of p, or fails as the connection has failed before.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) > maxPending && w.err == nil {
		w.room.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	w.pending = append(w.pending, p...)
	w.work.Signal()
	return len(p), nil
}

// run writes until the connection fails or is closed.
func (w *wire) run() {
	defer close(w.done)
	var spare []byte
	for {
		w.mu.Lock()
		for len(w.pending) == 0 && w.err == nil {
			w.work.Wait()
		}
		if w.err != nil {
			w.mu.Unlock()
			return
		}
		out := w.pending
		w.pending = spare[:0]
		w.room.Broadcast()
		w.mu.Unlock()
		if _, err := w.Conn.Write(out); err != nil {
			w.fail(err)
			return
		}
		if spare = out; cap(spare) > 4*maxPending { // after one large message
			spare = nil
		}
	}
}

func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.work.Broadcast()
	w.room.Broadcast()
}

// Close closes the connection. What is pending may not be written any more.
func (w *wire) Close() error {
	w.fail(net.ErrClosed)
	return w.Conn.Close()
}
