package database

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func params(d sqldialect.Dialect) map[string]address.Check {
	conns, wait := address.Int(2, 1000), address.Duration(0, time.Hour)
	switch d {
	case sqldialect.PostgreSQL:
		return map[string]address.Check{
			poolParam: conns, "host": address.Text,
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
	case sqldialect.MySQL:
		return map[string]address.Check{
			poolParam: conns, "tls": address.OneOf("true", "false", "skip-verify", "preferred"),
			"timeout": wait, "readTimeout": wait, "writeTimeout": wait,
			"collation": mysqlCollation, "compress": address.Bool, "parseTime": address.Bool,
			"maxAllowedPacket": address.Int(0, 1<<30),
		}
	case sqldialect.SQLite:
		return map[string]address.Check{"busy_timeout": address.Duration(0, 10*time.Minute)}
	default:
		return nil
	}
}

var collationName = regexp.MustCompile(`^utf8mb4_[a-z0-9_]+$`)

// The driver puts the collation into SQL as it is; other character sets lose
// letters.
func mysqlCollation(v string) error {
	if !collationName.MatchString(v) {
		return errors.New("must be one of utf8mb4, such as utf8mb4_bin or utf8mb4_unicode_ci")
	}
	return nil
}

func checkServer(u *url.URL, d sqldialect.Dialect) []error {
	var errs []error
	if u.Hostname() == "" && u.Query().Get("host") == "" {
		errs = append(errs, fmt.Errorf("has no host: write it as %s://user:password@host/database", u.Scheme))
	}
	name := strings.TrimPrefix(u.Path, "/")
	switch {
	case name == "":
		errs = append(errs, fmt.Errorf("names no database: write it as %s://user:password@host/database", u.Scheme))
	case strings.Contains(name, "/"):
		errs = append(errs, errors.New("names a database with a / in it: is the path too long?"))
	}
	if u.User == nil && d == sqldialect.MySQL {
		errs = append(errs, errors.New("names no user: write it as mysql://user:password@host/database"))
	}
	if len(errs) == 0 && d == sqldialect.PostgreSQL {
		if _, err := pgx.ParseConfig(postgresDSN(u)); err != nil {
			errs = append(errs, errors.New("is refused by the PostgreSQL driver: are the files of sslcert, sslkey and sslrootcert there and readable?"))
		}
	}
	return errs
}

// postgresDSN is the URL without what only we understand.
func postgresDSN(u *url.URL) string {
	c := *u
	q := c.Query()
	q.Del(poolParam)
	c.RawQuery = q.Encode()
	return c.String()
}

func openPostgres(u *url.URL) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(postgresDSN(u))
	if err != nil {
		return nil, errors.New("open PostgreSQL: the driver refuses the URL") // its own words may hold the password
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	return stdlib.OpenDB(*cfg), nil
}

func openMySQL(u *url.URL) (*sql.DB, error) {
	q := u.Query()
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(u.Hostname(), or(u.Port(), "3306"))
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	cfg.Collation = or(q.Get("collation"), "utf8mb4_unicode_ci")
	cfg.TLSConfig = q.Get("tls")
	cfg.ParseTime = q.Get("parseTime") == "true"
	cfg.Timeout = duration(q.Get("timeout"), 10*time.Second)
	cfg.ReadTimeout = duration(q.Get("readTimeout"), 0)
	cfg.WriteTimeout = duration(q.Get("writeTimeout"), 0)
	cfg.Logger = silent{} // it would write to standard error by itself; errors are returned as well
	if err := cfg.Apply(mysql.EnableCompression(q.Get("compress") == "true")); err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, errors.New("open MySQL: the driver refuses the URL")
	}
	return sql.OpenDB(connector), nil
}

type silent struct{}

func (silent) Print(...any) {}

func or(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

func duration(v string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(v); err == nil {
		return d
	}
	return fallback
}
