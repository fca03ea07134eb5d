package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// reconnect is the wait between attempts to reach a server that is away.
var reconnect = redelivery.Backoff{First: 100 * time.Millisecond, Max: 3 * time.Second}

// link is one connection, made when it is first needed and kept up from then on.
type link struct {
	*driver
	purpose string
	lost    func() // called, if not nil, after each loss of the connection

	mu     sync.Mutex
	nc     *nats.Conn
	js     jetstream.JetStream
	up     chan struct{} // closed while connected
	away   bool          // and that was logged
	begun  bool
	closed chan struct{} // closed when the client has ended
}

func newLink(d *driver, purpose string, lost func()) *link {
	return &link{driver: d, purpose: purpose, lost: lost, up: make(chan struct{}), closed: make(chan struct{})}
}

// get returns JetStream over a connection that is up, waiting for it until
// dial_timeout or ctx ends.
func (l *link) get(ctx context.Context) (jetstream.JetStream, error) {
	l.begin()
	l.mu.Lock()
	up := l.up
	l.mu.Unlock()
	timer := time.NewTimer(l.dialTimeout)
	defer timer.Stop()
	select {
	case <-up:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.js, nil
	case <-ctx.Done():
		return nil, failure.Unavailable(fmt.Errorf("reach nats: %w (%w)", context.Cause(ctx), l.lastError()))
	case <-l.ctx.Done():
		return nil, failure.Unavailable(fmt.Errorf("reach nats: %w", broker.ErrClosed))
	case <-timer.C:
		return nil, failure.Unavailable(fmt.Errorf("reach nats: %w", l.lastError()))
	}
}

var errAway = errors.New("no server of the URL answers")

func (l *link) lastError() error {
	l.mu.Lock()
	nc := l.nc
	l.mu.Unlock()
	if nc != nil && nc.LastError() != nil {
		return fmt.Errorf("%w: %w", errAway, nc.LastError())
	}
	return errAway
}

// begin starts the client once. It connects in the background.
func (l *link) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun || l.ctx.Err() != nil {
		return
	}
	l.begun = true
	go l.connect()
}

func (l *link) connect() {
	opts := nats.GetDefaultOptions()
	opts.Servers = l.servers
	opts.Name = l.clientName + " (" + l.purpose + ")"
	opts.NoRandomize = true
	opts.RetryOnFailedConnect = true
	opts.MaxReconnect = -1
	opts.ReconnectBufSize = -1 // nothing that was reported as failed is sent later
	opts.IgnoreAuthErrorAbort = true
	opts.CustomReconnectDelayCB = reconnect.Delay
	opts.Timeout = l.dialTimeout
	opts.PingInterval = l.pingInterval()
	opts.MaxPingsOut = 2
	opts.CustomDialer = dialer{l}
	opts.ConnectedCB = func(*nats.Conn) { l.connected() }
	opts.ReconnectedCB = func(*nats.Conn) { l.connected() }
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) { l.disconnected(err) }
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) { l.disconnected(err) }
	opts.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		l.logger.Warn("nats client", "connection", l.purpose, "err", err)
	}
	opts.ClosedCB = func(*nats.Conn) { close(l.closed) }
	if l.tls != nil {
		opts.Secure, opts.TLSConfig = true, l.tls
	}
	for _, set := range l.auth {
		_ = set(&opts) // none of them fails
	}
	nc, err := opts.Connect()
	if err != nil {
		// Only what the options check themselves; a server that is away is no error.
		l.logger.Error("nats client cannot start", "connection", l.purpose, "err", err)
		close(l.closed)
		return
	}
	l.mu.Lock()
	l.nc = nc
	l.mu.Unlock()
	if nc.IsConnected() {
		l.connected()
	} else {
		l.disconnected(nc.LastError())
	}
	if l.ctx.Err() != nil {
		nc.Close()
	}
}

// pingInterval finds a dead connection in about the time in which claims end.
func (l *link) pingInterval() time.Duration { return max(l.ackWait/2, time.Second) }

// connected may be called twice for one connection.
func (l *link) connected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc == nil || l.isUp() || !l.nc.IsConnected() {
		return
	}
	if l.js == nil {
		js, err := l.newJetStream()
		if err != nil {
			l.logger.Error("nats client cannot use JetStream", "err", err)
			return
		}
		l.js = js
	}
	close(l.up)
	if l.away {
		l.away = false
		l.logger.Info("nats is back", "connection", l.purpose)
	}
}

func (l *link) newJetStream() (jetstream.JetStream, error) {
	if l.domain != "" {
		return jetstream.NewWithDomain(l.nc, l.domain)
	}
	return jetstream.New(l.nc)
}

// maxPayload is the largest message that the server takes.
func (l *link) maxPayload() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nc == nil {
		return 0
	}
	return int(l.nc.MaxPayload())
}

func (l *link) isUp() bool {
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

// disconnected logs once for each time that the server is away.
func (l *link) disconnected(err error) {
	if l.ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	wasUp := l.isUp()
	if wasUp {
		l.up = make(chan struct{})
	}
	if !l.away {
		l.away = true
		l.logger.Warn("nats is away, trying until it is back", "connection", l.purpose, "err", err)
	}
	l.mu.Unlock()
	if wasUp && l.lost != nil {
		l.lost()
	}
}

// close ends the client, which sends nothing more, and waits for it.
func (l *link) close(ctx context.Context) error {
	l.mu.Lock()
	begun, nc := l.begun, l.nc
	l.mu.Unlock()
	if !begun {
		return nil
	}
	if nc != nil {
		nc.Close()
	}
	select {
	case <-l.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for nats to close: %w", ctx.Err())
	}
}

// dialer lets Close end a dial that is under way.
type dialer struct{ *link }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	n := net.Dialer{Timeout: d.dialTimeout}
	return n.DialContext(d.ctx, network, address)
}
