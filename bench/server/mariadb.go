package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/sluicegate/sluicegate/internal/database"
)

// MariaDB is a MariaDB or MySQL server.
type MariaDB struct {
	url   *url.URL
	admin *sql.DB
}

// ParseMariaDB checks rawURL. Its error repeats nothing of it.
func ParseMariaDB(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "mysql" && u.Scheme != "mariadb") || u.Host == "" {
		return nil, errors.New("want mysql://user:password@host:port/database")
	}
	return u, nil
}

// OpenMariaDB opens a pool. It does not connect.
func OpenMariaDB(rawURL string) (*MariaDB, error) {
	u, err := ParseMariaDB(rawURL)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open MariaDB: %w", err)
	}
	return &MariaDB{url: u, admin: db}, nil
}

// Close closes the connections.
func (m *MariaDB) Close() error { return m.admin.Close() }

// Scratch makes an empty database and opens a pool on it.
func (m *MariaDB) Scratch(ctx context.Context) (*Database, error) {
	name := Name()
	if _, err := m.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	u := *m.url
	u.Path = "/" + name
	db, err := database.Open(u.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &Database{
		Kind: KindMariaDB, URL: u.String(), DB: db,
		Analyze: func(context.Context) error { return nil }, // InnoDB keeps its statistics up to date
		Drop: func(ctx context.Context) error {
			closeErr := db.Close()
			_, err := m.admin.ExecContext(ctx, "DROP DATABASE "+name)
			return errors.Join(closeErr, err)
		},
	}, nil
}

// Settings returns lines about the server: its version and durability.
func (m *MariaDB) Settings(ctx context.Context) ([]string, error) {
	var out []string
	for _, name := range []string{"version", "innodb_flush_log_at_trx_commit", "sync_binlog", "innodb_buffer_pool_size"} {
		var value string
		if err := m.admin.QueryRowContext(ctx, "SELECT @@"+name).Scan(&value); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}

// MariaDBSettings asks the server at rawURL.
func MariaDBSettings(ctx context.Context, rawURL string) ([]string, error) {
	m, err := OpenMariaDB(rawURL)
	if err != nil {
		return nil, err
	}
	out, err := m.Settings(ctx)
	return out, errors.Join(err, m.Close())
}
