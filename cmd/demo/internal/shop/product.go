package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Product is a row of the table products, and, as JSON, its page.
type Product struct {
	SKU     string `json:"sku"`
	Price   Amount `json:"price"`
	Version int64  `json:"version"` // grows with each change
}

// Pages are the pages of the products; *objectsync.Syncer is one.
type Pages interface {
	// Mark notes in tx that a product's page is to be written anew.
	Mark(ctx context.Context, tx objectsync.Executor, sku string) error
	// Wake has that happen now, after the commit.
	Wake()
}

type noPages struct{}

func (noPages) Mark(context.Context, objectsync.Executor, string) error { return nil }
func (noPages) Wake()                                                   {}

// SetPrice commits the price of a product and the mark of its page in one
// transaction.
func (s *Shop) SetPrice(ctx context.Context, sku string, price Amount) (err error) {
	tx, err := s.cfg.DB.BeginTx(ctx, s.cfg.Dialect.TxOptions())
	if err != nil {
		return fmt.Errorf("begin price: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if _, err := tx.ExecContext(ctx, s.cfg.Dialect.Bind(upsertProduct(s.cfg.Dialect)), sku, price.String()); err != nil {
		return fmt.Errorf("write price: %w", err)
	}
	if err := s.cfg.Pages.Mark(ctx, tx, sku); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit price: %w", err)
	}
	s.cfg.Pages.Wake()
	return nil
}

func upsertProduct(d sqldialect.Dialect) string {
	const insert = "INSERT INTO products (sku, price, version) VALUES (?, ?, 1) "
	if d == sqldialect.MySQL {
		return insert + "ON DUPLICATE KEY UPDATE price = VALUES(price), version = version + 1"
	}
	return insert + "ON CONFLICT (sku) DO UPDATE SET price = excluded.price, version = products.version + 1"
}

// LoadProduct reads a product as its page is to show it.
func LoadProduct(d sqldialect.Dialect) objectsync.Loader {
	query := d.Bind("SELECT price, version FROM products WHERE sku = ?")
	return func(ctx context.Context, db *sql.DB, sku string) (objectsync.Object, error) {
		p := Product{SKU: sku}
		err := db.QueryRowContext(ctx, query, sku).Scan(&p.Price, &p.Version)
		if errors.Is(err, sql.ErrNoRows) {
			return objectsync.Object{Deleted: true}, nil
		}
		if err != nil {
			return objectsync.Object{}, fmt.Errorf("read product: %w", err)
		}
		return objectsync.Object{Body: p, Version: p.Version}, nil
	}
}

// setPrice is PUT /products/{sku}.
func (a api) setPrice(w http.ResponseWriter, r *http.Request) {
	sku := r.PathValue("sku")
	var asked struct {
		Price *Amount `json:"price"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil || asked.Price == nil || *asked.Price > MaxAmount {
		writeProblem(w, problem{Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf(`send {"price": …}, from 0 to %s, with at most two decimals`, MaxAmount)})
		return
	}
	if strings.TrimSpace(sku) == "" || utf8.RuneCountInString(sku) > MaxName {
		writeProblem(w, problem{Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf("the SKU has no character, or more than %d", MaxName)})
		return
	}
	err := a.cfg.Shop.SetPrice(r.Context(), sku, *asked.Price)
	switch {
	case errors.Is(err, objectsync.ErrKey):
		writeProblem(w, problem{Status: http.StatusUnprocessableEntity, Detail: "the SKU cannot be the name of a page"})
	case err != nil:
		a.fail(w, r, "set price", err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
