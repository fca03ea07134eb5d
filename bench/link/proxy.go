// Package link is a network link that takes its time: a TCP proxy that delays
// every byte in each direction, without limiting how many are under way, and a
// Kafka of the bench's own that advertises the address of that proxy, so that
// clients stay on it.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy forwards connections with a delay.
type Proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// NewProxy listens on a free port of the loopback address.
func NewProxy(target string, delay time.Duration) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{listener: listener, target: target, delay: delay, cancel: cancel}
	p.running.Go(func() { p.accept(ctx) })
	return p, nil
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends all connections.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.running.Wait()
	return err
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(ctx, near) })
	}
}

func (p *Proxy) serve(ctx context.Context, near net.Conn) {
	var dialer net.Dialer
	far, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil {
		_ = near.Close() // the client sees what it would see without the proxy
		return
	}
	both := func() { _ = errors.Join(near.Close(), far.Close()) }
	defer context.AfterFunc(ctx, both)()
	defer both()
	var directions sync.WaitGroup
	directions.Go(func() { p.pipe(near, far) })
	directions.Go(func() { p.pipe(far, near) })
	directions.Wait()
}

// chunk is what was read at once, and when it may go on.
type chunk struct {
	data []byte
	due  time.Time
}

// The link holds up to underWay chunks of a direction: far more than a
// connection has in flight.
const (
	chunkSize = 64 << 10
	underWay  = 4096
)

// pipe carries one direction until either end closes, and then closes both.
func (p *Proxy) pipe(from, to net.Conn) {
	chunks := make(chan chunk, underWay)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(chunks)
		for {
			buf := make([]byte, chunkSize)
			n, err := from.Read(buf)
			if n > 0 {
				chunks <- chunk{data: buf[:n], due: time.Now().Add(p.delay)}
			}
			if err != nil {
				return
			}
		}
	})
	for c := range chunks {
		waitUntil(c.due)
		if _, err := to.Write(c.data); err != nil {
			_ = from.Close()
			break
		}
	}
	_ = to.Close()
	for range chunks { // until the reader has ended
	}
	reader.Wait()
}
