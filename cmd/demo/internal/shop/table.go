package shop

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// CreateTables makes the tables orders, ledger, parcels and products where they are missing. It
// may run at the same time in several processes.
func CreateTables(ctx context.Context, db *sql.DB, d sqldialect.Dialect) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create the shop's tables: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	for _, statement := range tables(d) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the shop's tables: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create the shop's tables: %w", err)
	}
	return CheckTables(ctx, db)
}

// CheckTables returns an error where the tables are missing, or are somebody
// else's of the same name.
func CheckTables(ctx context.Context, db *sql.DB) error {
	for _, query := range []string{
		"SELECT id, customer, sku, quantity, amount, status, created_at FROM orders WHERE 1 = 0",
		"SELECT service, order_id, message_id, attempt, pid, applied_at FROM ledger WHERE 1 = 0",
		"SELECT order_id, status, tracking, applied_at FROM parcels WHERE 1 = 0",
		"SELECT sku, price, version FROM products WHERE 1 = 0",
	} {
		// Run as a statement: only whether it fails matters.
		if _, err := db.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("the tables orders, ledger, parcels and products are not those of the demo: %w", err)
		}
	}
	return nil
}

func tables(d sqldialect.Dialect) []string {
	var out []string
	text, end := "VARCHAR(%d)", ""
	switch d {
	case sqldialect.PostgreSQL:
		// CREATE TABLE IF NOT EXISTS fails where two run it at once.
		out = append(out, "SELECT pg_advisory_xact_lock(7262736544)")
	case sqldialect.MySQL:
		text, end = "VARCHAR(%d) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", " ENGINE=InnoDB"
	default:
	}
	word := func(n int) string { return fmt.Sprintf(text, n) }
	out = append(out,
		`CREATE TABLE IF NOT EXISTS orders (
			id `+word(64)+` PRIMARY KEY,
			customer `+word(MaxName)+` NOT NULL,
			sku `+word(MaxName)+` NOT NULL,
			quantity BIGINT NOT NULL,
			amount NUMERIC(15, 2) NOT NULL,
			status `+word(16)+` NOT NULL,
			created_at BIGINT NOT NULL)`+end,
		`CREATE TABLE IF NOT EXISTS ledger (
			service `+word(32)+` NOT NULL,
			order_id `+word(64)+` NOT NULL,
			message_id `+word(255)+` NOT NULL,
			attempt INTEGER NOT NULL,
			pid INTEGER NOT NULL,
			applied_at BIGINT NOT NULL)`+end,
		`CREATE TABLE IF NOT EXISTS parcels (
			order_id `+word(64)+` NOT NULL,
			status `+word(16)+` NOT NULL,
			tracking `+word(100)+` NOT NULL,
			applied_at BIGINT NOT NULL)`+end,
		`CREATE TABLE IF NOT EXISTS products (
			sku `+word(MaxName)+` PRIMARY KEY,
			price NUMERIC(15, 2) NOT NULL,
			version BIGINT NOT NULL)`+end)
	return out
}
