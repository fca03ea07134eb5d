package pgnotify

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/forwarder"
)

// DefaultChannel is the channel of Config's zero value.
const DefaultChannel = "sluicegate_outbox"

// Config configures a Signal. The zero value is ready for use.
type Config struct {
	// Channel is the notification channel: lower-case letters, digits and
	// underscores, at most 63. Outboxes of one database that have tables of
	// their own should have channels of their own. Default DefaultChannel.
	Channel string
}

var channelPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// Signal is a forwarder.Signal. It is safe for concurrent use.
type Signal struct {
	db      *sql.DB
	channel string
}

var _ forwarder.Signal = (*Signal)(nil)

// New returns a signal over db, which stays the caller's to close. It does not
// connect.
func New(db *sql.DB, cfg Config) (*Signal, error) {
	var problems []error
	switch {
	case db == nil:
		problems = append(problems, errors.New("db: a database is needed, got nil"))
	case db.Stats().MaxOpenConnections == 1:
		problems = append(problems, errors.New("db: the pool has one connection, and listening keeps one: allow more with SetMaxOpenConns"))
	}
	if cfg.Channel == "" {
		cfg.Channel = DefaultChannel
	}
	if !channelPattern.MatchString(cfg.Channel) {
		problems = append(problems, fmt.Errorf("Config.Channel: %q is not made of at most 63 lower-case letters, digits and underscores", cfg.Channel))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("new notification signal: %w", err)
	}
	return &Signal{db: db, channel: cfg.Channel}, nil
}

// Send notifies all that listen.
func (s *Signal) Send(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, "NOTIFY "+s.channel); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// Listen listens on a connection of its own, which it does not give back.
func (s *Signal) Listen(ctx context.Context, wake func()) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = conn.Close() }()
	var cause error
	err = conn.Raw(func(raw any) error {
		own, ok := raw.(*stdlib.Conn)
		if !ok {
			cause = fmt.Errorf("%w: the database is opened with a driver other than pgx (%T)", forwarder.ErrNoSignal, raw)
			return nil
		}
		cause = s.listen(ctx, own.Conn(), wake)
		return driver.ErrBadConn // it listens, so nobody else may have it
	})
	if cause == nil {
		cause = err
	}
	return fmt.Errorf("listen: %w", cause)
}

func (s *Signal) listen(ctx context.Context, conn *pgx.Conn, wake func()) error {
	if _, err := conn.Exec(ctx, "LISTEN "+s.channel); err != nil {
		return err
	}
	for {
		wake() // at first for what was missed before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}
