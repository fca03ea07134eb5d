package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// leaveGrace is how long the closing handshake of a connection may take, before
// it is cut.
const leaveGrace = 3 * time.Second

// link is a connection that can be cut: nothing is sent on it afterwards.
type link struct {
	*amqp091.Connection
	wire    *wire
	closed  chan *amqp091.Error // by the library, once it is over
	blocked atomic.Pointer[string]
}

// dial logs in at the first host that answers. Its error is marked unavailable.
func (d *driver) dial(ctx context.Context) (*link, error) {
	var problems []error
	for _, addr := range d.addrs {
		l, err := d.dialHost(ctx, addr)
		if err == nil {
			return l, nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, away(ctx, errors.Join(problems...))
}

func (d *driver) dialHost(ctx context.Context, addr string) (*link, error) {
	dialer := net.Dialer{Timeout: d.dialTimeout, KeepAlive: 30 * time.Second}
	plain, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	// The client library takes the deadline away once it has logged in.
	if err := plain.SetDeadline(time.Now().Add(d.dialTimeout)); err != nil {
		_ = plain.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	defer stop()
	conn := plain
	if d.tls != nil {
		if conn, err = handshake(ctx, plain, d.tls, addr); err != nil {
			return nil, err
		}
	}
	w := newWire(conn)
	l, err := d.login(w)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = w.Close()
		<-w.done
		return nil, err
	}
	return l, nil
}

func handshake(ctx context.Context, conn net.Conn, config *tls.Config, addr string) (net.Conn, error) {
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return secured, nil
}

func (d *driver) login(w *wire) (*link, error) {
	properties := amqp091.NewConnectionProperties()
	properties.SetClientConnectionName(d.name)
	conn, err := amqp091.Open(w, amqp091.Config{
		Vhost:      d.vhost,
		SASL:       []amqp091.Authentication{&amqp091.PlainAuth{Username: d.user, Password: d.password}},
		Heartbeat:  d.heartbeat,
		Locale:     "en_US",
		Properties: properties,
	})
	switch {
	case errors.Is(err, amqp091.ErrCredentials):
		return nil, errors.New("rabbitmq does not accept the user name and password, or closed the connection while they were checked")
	case errors.Is(err, amqp091.ErrVhost):
		return nil, errors.New("rabbitmq does not let this user use the virtual host, or there is none of that name")
	case err != nil:
		return nil, fmt.Errorf("begin AMQP: %w", err)
	}
	l := &link{Connection: conn, wire: w, closed: conn.NotifyClose(make(chan *amqp091.Error, 1))}
	blocks := conn.NotifyBlocked(make(chan amqp091.Blocking, 16))
	go func() { // until the library closes it
		for b := range blocks {
			if b.Active {
				l.blocked.Store(&b.Reason)
			} else {
				l.blocked.Store(nil)
			}
		}
	}()
	return l, nil
}

// cut closes the connection at once, for good.
func (l *link) cut() { _ = l.wire.Close() }

// leave closes the connection and waits for its goroutines. What was sent
// before, acks among it, has been read by RabbitMQ when it returns, unless that
// takes longer than leaveGrace.
func (l *link) leave() {
	timer := time.AfterFunc(leaveGrace, l.cut)
	defer timer.Stop()
	_ = l.Connection.Close() // an error means that it is closed already
	l.cut()
	for range l.closed {
	}
	<-l.wire.done
}

// away marks err as unavailable and says why the wait ended, if it did.
func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return failure.Unavailable(fmt.Errorf("reach rabbitmq: %w (%w)", context.Cause(ctx), err))
	}
	return failure.Unavailable(fmt.Errorf("reach rabbitmq: %w", err))
}
