// Package postgres opens PostgreSQL by URL, with pgx.
package postgres

import (
	"database/sql"
	"errors"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// Params are the parameters of a URL, all but the pool's being pgx's own.
func Params() map[string]address.Check {
	return map[string]address.Check{
		sqlopen.PoolParam: address.Int(2, 1000), "host": address.Text,
		"sslmode": address.OneOf("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
		"sslcert": address.Text, "sslkey": address.Text, "sslrootcert": address.Text, "sslpassword": address.Secret,
		"sslsni": address.OneOf("0", "1"), "sslnegotiation": address.OneOf("postgres", "direct"),
		"connect_timeout":  address.Int(0, 3600),
		"application_name": address.Text, "search_path": address.Text, "options": address.Text, "timezone": address.Text,
		"statement_timeout": address.Int(0, 1<<31-1), "lock_timeout": address.Int(0, 1<<31-1),
		"target_session_attrs":       address.OneOf("any", "read-write", "primary", "prefer-standby", "read-only", "standby"),
		"default_query_exec_mode":    address.OneOf("cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"),
		"statement_cache_capacity":   address.Int(0, 1<<20),
		"description_cache_capacity": address.Int(0, 1<<20),
	}
}

// Check returns what is wrong with u beyond its parameters. It reads the files
// that u names and connects to nothing.
func Check(u *url.URL) []error {
	errs := sqlopen.Server(u, u.Hostname() != "" || u.Query().Get("host") != "")
	if len(errs) == 0 {
		if _, err := pgx.ParseConfig(dsn(u)); err != nil {
			errs = append(errs, errors.New("is refused by the PostgreSQL driver: are the files of sslcert, sslkey and sslrootcert there and readable?"))
		}
	}
	return errs
}

// Open opens a URL that was checked. Like sql.Open it connects at the first use.
func Open(u *url.URL) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(dsn(u))
	if err != nil {
		return nil, errors.New("open PostgreSQL: the driver refuses the URL") // its own words may hold the password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	return stdlib.OpenDB(*cfg), nil
}

// dsn is the URL without what only we understand.
func dsn(u *url.URL) string {
	c := *u
	q := c.Query()
	q.Del(sqlopen.PoolParam)
	c.RawQuery = q.Encode()
	return c.String()
}
