package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// Reader reads the facts from the shop's database.
type Reader struct {
	DB       *sql.DB
	Dialect  sqldialect.Dialect
	Letters  *deadletter.SQLStore
	Consumer string // of the shop's dead letters
	IDPrefix string // only orders whose id begins so; empty: all
}

// Read returns what is there: the dead letters, and then orders and ledger in
// one snapshot.
func (r Reader) Read(ctx context.Context) (Facts, error) {
	f := Facts{Orders: map[string]string{}, SKUs: map[string]string{}, Dead: map[string]map[string]bool{}}
	if err := r.readDead(ctx, &f); err != nil {
		return Facts{}, err
	}
	tx, err := r.DB.BeginTx(ctx, r.snapshot())
	if err != nil {
		return Facts{}, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	err = r.each(ctx, tx, "SELECT order_id, service, '' FROM ledger WHERE order_id LIKE ?", func(id, service, _ string) {
		f.Applied = append(f.Applied, Entry{Service: service, Order: id})
	})
	if err != nil {
		return Facts{}, fmt.Errorf("read ledger: %w", err)
	}
	err = r.each(ctx, tx, "SELECT id, status, sku FROM orders WHERE id LIKE ?", func(id, status, sku string) {
		f.Orders[id], f.SKUs[id] = status, sku
	})
	if err != nil {
		return Facts{}, fmt.Errorf("read orders: %w", err)
	}
	err = r.each(ctx, tx, "SELECT order_id, status, tracking FROM parcels WHERE order_id LIKE ?", func(id, status, tracking string) {
		f.Parcels = append(f.Parcels, Parcel{id, status, tracking})
	})
	if err != nil {
		return Facts{}, fmt.Errorf("read parcels: %w", err)
	}
	if err := r.readProducts(ctx, tx, &f); err != nil {
		return Facts{}, fmt.Errorf("read products: %w", err)
	}
	return f, nil
}

func (r Reader) readProducts(ctx context.Context, tx *sql.Tx, f *Facts) (err error) {
	rows, err := tx.QueryContext(ctx, r.Dialect.Bind("SELECT sku, price, version FROM products WHERE sku LIKE ?"), r.IDPrefix+"%")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p shop.Product
		if err := rows.Scan(&p.SKU, &p.Price, &p.Version); err != nil {
			return err
		}
		f.Products = append(f.Products, p)
	}
	return rows.Err()
}

func (r Reader) snapshot() *sql.TxOptions {
	if r.Dialect == sqldialect.SQLite {
		return nil // every transaction is one
	}
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (r Reader) each(ctx context.Context, tx *sql.Tx, query string, row func(id, a, b string)) (err error) {
	rows, err := tx.QueryContext(ctx, r.Dialect.Bind(query), r.IDPrefix+"%")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, a, b string
		if err := rows.Scan(&id, &a, &b); err != nil {
			return err
		}
		row(id, a, b)
	}
	return rows.Err()
}

// readDead notes the dead letters by the key under which the service acts once:
// the order's id.
func (r Reader) readDead(ctx context.Context, f *Facts) error {
	filter := deadletter.Filter{Consumer: r.Consumer, Limit: deadletter.MaxLimit}
	for {
		page, err := r.Letters.List(ctx, filter)
		if err != nil {
			return err
		}
		for _, l := range page {
			if f.Dead[l.Handler] == nil {
				f.Dead[l.Handler] = map[string]bool{}
			}
			f.Dead[l.Handler][l.Key] = true
			filter.After = l.ID
		}
		if len(page) < deadletter.MaxLimit {
			return nil
		}
	}
}
