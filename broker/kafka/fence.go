package kafka

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

// fence dials the connections of one sarama client and can cut them all, for
// good. sarama has no contexts: to cut its connections is what ends its waits
// and its retries within a moment, and what makes sure that a message which was
// reported as failed is not sent afterwards.
type fence struct {
	dialer net.Dialer
	ctx    context.Context //nolint:containedctx // ended by cut; sarama's Dial has none
	cancel context.CancelFunc

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// fenced returns a copy of the configuration whose connections go through a
// new fence.
func (o *options) fenced() (*sarama.Config, *fence) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fence{
		dialer: net.Dialer{Timeout: o.dialTimeout, KeepAlive: 30 * time.Second},
		ctx:    ctx, cancel: cancel,
		conns: map[net.Conn]struct{}{},
	}
	config := *o.config
	config.Net.DialTimeout = o.dialTimeout
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = f
	config.Metadata.Retry.Max = 3
	config.Metadata.Retry.BackoffFunc = func(int, int) time.Duration { return f.pause(250 * time.Millisecond) }
	return &config, f
}

// pause is how long sarama waits before a retry: not at all once it is futile.
func (f *fence) pause(d time.Duration) time.Duration {
	if f.isCut() {
		return 0
	}
	return d
}

// Dial connects, unless the fence was cut.
func (f *fence) Dial(network, addr string) (net.Conn, error) {
	conn, err := f.dialer.DialContext(f.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ctx.Err(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	for old := range f.conns {
		if isClosed(old) {
			delete(f.conns, old)
		}
	}
	f.conns[conn] = struct{}{}
	return conn, nil
}

// isClosed reports whether sarama has closed conn. The connection is not
// wrapped to learn it, since sarama looks for the TCP connection itself.
func isClosed(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// cut closes every connection and refuses new ones.
func (f *fence) cut() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.conns {
		_ = conn.Close()
	}
	clear(f.conns)
}

func (f *fence) isCut() bool { return f.ctx.Err() != nil }
