package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Place commits o and its message in one transaction, and returns the order's
// id. After an error of the commit itself it is unknown whether it took effect.
func (s *Shop) Place(ctx context.Context, o Order) (id string, err error) {
	o.ID, o.Status, o.CreatedAt = s.cfg.NewID(), Placed, time.Now()
	place := s.placeInTx
	if s.cfg.Dialect == sqldialect.PostgreSQL && s.cfg.Faults == (noFaults{}) {
		place = s.placeAtOnce
	}
	if err := place(ctx, o); err != nil {
		return "", err
	}
	s.Wake()
	return o.ID, nil
}

// PlaceIn writes o and its message in the transaction of the caller, who calls
// Wake once it has committed.
func (s *Shop) PlaceIn(ctx context.Context, tx *sql.Tx, o Order) (id string, err error) {
	o.ID, o.Status, o.CreatedAt = s.cfg.NewID(), Placed, time.Now()
	if err := s.write(ctx, tx, o); err != nil {
		return "", err
	}
	if err := s.cfg.Faults.BeforeCommit(o); err != nil {
		return "", &injected{err}
	}
	return o.ID, nil
}

// Wake has the messages of what was committed leave at once.
func (s *Shop) Wake() { s.cfg.Outbox.Wake() }

// placeInTx is the way that every database and every library has.
func (s *Shop) placeInTx(ctx context.Context, o Order) (err error) {
	tx, err := s.cfg.DB.BeginTx(ctx, s.cfg.Dialect.TxOptions())
	if err != nil {
		return fmt.Errorf("begin order: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if err := s.write(ctx, tx, o); err != nil {
		return err
	}
	if err := s.cfg.Faults.BeforeCommit(o); err != nil {
		return &injected{err}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit order: %w", err)
	}
	return nil
}

// placeAtOnce sends both rows and the commit in one round trip, where placeInTx
// needs four: a batch of pgx is one transaction.
func (s *Shop) placeAtOnce(ctx context.Context, o Order) (err error) {
	var b pgx.Batch
	if err := s.write(ctx, pgxtx.Queue(&b), o); err != nil {
		return err
	}
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin order: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(driverConn any) error {
		native, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("place order: the connection is a %T and none of pgx", driverConn)
		}
		if err := native.Conn().SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("commit order: %w", err)
		}
		return nil
	})
}

// write writes o and its message through tx.
func (s *Shop) write(ctx context.Context, tx forwarder.Executor, o Order) error {
	_, err := tx.ExecContext(ctx, s.insert, o.ID, o.Customer, o.SKU, o.Quantity, o.Amount.String(), o.Status, o.CreatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	msg, err := newMessage(o)
	if err != nil {
		return err
	}
	if err := s.cfg.Outbox.Publish(ctx, tx, s.topics.Placed, msg); err != nil {
		return fmt.Errorf("publish order: %w", err)
	}
	return nil
}

var _ forwarder.Executor = (*sql.Tx)(nil)
