package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
)

// Postgres is a PostgreSQL server.
type Postgres struct {
	url   *url.URL
	admin *sql.DB
}

// ParsePostgres checks rawURL. Its error repeats nothing of it.
func ParsePostgres(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return nil, errors.New("want postgres://user:password@host:port/database")
	}
	return u, nil
}

// OpenPostgres opens a pool. It does not connect.
func OpenPostgres(rawURL string) (*Postgres, error) {
	u, err := ParsePostgres(rawURL)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", rawURL)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return &Postgres{url: u, admin: db}, nil
}

// Close closes the connections.
func (p *Postgres) Close() error { return p.admin.Close() }

// Scratch makes an empty schema and opens a pool whose connections use it.
func (p *Postgres) Scratch(ctx context.Context) (*Database, error) {
	name := Name()
	if _, err := p.admin.ExecContext(ctx, "CREATE SCHEMA "+name); err != nil {
		return nil, fmt.Errorf("create schema: %w", err)
	}
	u := *p.url
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return nil, fmt.Errorf("open schema: %w", err)
	}
	return &Database{
		Kind: KindPostgres, URL: u.String(), DB: db,
		Analyze: func(ctx context.Context) error { return analyze(ctx, db) },
		Drop: func(ctx context.Context) error {
			closeErr := db.Close()
			_, err := p.admin.ExecContext(ctx, "DROP SCHEMA "+name+" CASCADE")
			return errors.Join(closeErr, err)
		},
	}, nil
}

// analyze gives the planner what autovacuum would have told it by the time a
// service has run for a while.
func analyze(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var tables []string
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		tables = append(tables, t)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	for _, t := range tables {
		if _, err := db.ExecContext(ctx, "ANALYZE "+t); err != nil {
			return fmt.Errorf("analyze: %w", err)
		}
	}
	return nil
}

// Settings returns lines about the server: its version and durability.
func (p *Postgres) Settings(ctx context.Context) ([]string, error) {
	var out []string
	for _, name := range []string{"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers"} {
		var value string
		if err := p.admin.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}

// PostgresSettings asks the server at rawURL.
func PostgresSettings(ctx context.Context, rawURL string) ([]string, error) {
	p, err := OpenPostgres(rawURL)
	if err != nil {
		return nil, err
	}
	out, err := p.Settings(ctx)
	return out, errors.Join(err, p.Close())
}
