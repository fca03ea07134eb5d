// Package mysql opens MySQL and MariaDB by URL, with go-sql-driver.
package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// The parameters of TLS beyond the driver's own: files in PEM form.
const (
	caParam   = "tls_ca_file"
	certParam = "tls_cert_file"
	keyParam  = "tls_key_file"
	nameParam = "tls_server_name"
)

// Params are the parameters of a URL.
func Params() map[string]address.Check {
	wait := address.Duration(0, time.Hour)
	return map[string]address.Check{
		sqlopen.PoolParam: address.Int(2, 1000), "tls": address.OneOf("true", "false", "skip-verify", "preferred"),
		caParam: address.Text, certParam: address.Text, keyParam: address.Text, nameParam: address.Text,
		"timeout": wait, "readTimeout": wait, "writeTimeout": wait,
		"collation": collation, "compress": address.Bool, "parseTime": address.Bool,
		"maxAllowedPacket": address.Int(0, 1<<30),
	}
}

var collationName = regexp.MustCompile(`^utf8mb4_[a-z0-9_]+$`)

// The driver puts the collation into SQL as it is; other character sets lose
// letters.
func collation(v string) error {
	if !collationName.MatchString(v) {
		return errors.New("must be one of utf8mb4, such as utf8mb4_bin or utf8mb4_unicode_ci")
	}
	return nil
}

// Check returns what is wrong with u beyond its parameters. It reads the files
// that u names and connects to nothing.
func Check(u *url.URL) []error {
	errs := sqlopen.Server(u, u.Hostname() != "")
	if u.User == nil {
		errs = append(errs, errors.New("names no user: write it as mysql://user:password@host/database"))
	}
	_, tlsErrs := tlsConfig(u)
	return append(errs, tlsErrs...)
}

// tlsConfig returns the configuration that the tls_ parameters ask for, or nil
// without any.
func tlsConfig(u *url.URL) (*tls.Config, []error) {
	q := u.Query()
	ca, cert, key, name := q.Get(caParam), q.Get(certParam), q.Get(keyParam), q.Get(nameParam)
	if ca+cert+key+name == "" {
		return nil, nil
	}
	var errs []error
	problem := func(param, format string, args ...any) {
		errs = append(errs, fmt.Errorf("parameter %q "+format, append([]any{param}, args...)...))
	}
	if q.Get("tls") != "true" {
		problem("tls", "must be true where another tls_ parameter is given")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: sqlopen.Or(name, u.Hostname())}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		config.RootCAs = x509.NewCertPool()
		if err != nil {
			problem(caParam, "cannot be read: %w", err)
		} else if !config.RootCAs.AppendCertsFromPEM(pem) {
			problem(caParam, "has no certificate in PEM form")
		}
	}
	switch {
	case (cert == "") != (key == ""):
		problem(certParam, "needs %s, and the other way round", keyParam)
	case cert != "":
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			problem(certParam, "cannot be loaded with %s: %w", keyParam, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, errs
}

// Open opens a URL that was checked, with further settings of the driver's.
// Like sql.Open it connects at the first use.
func Open(u *url.URL, options ...func(*mysql.Config)) (*sql.DB, error) {
	q := u.Query()
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(u.Hostname(), sqlopen.Or(u.Port(), "3306"))
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	cfg.Collation = sqlopen.Or(q.Get("collation"), "utf8mb4_unicode_ci")
	cfg.TLSConfig = q.Get("tls")
	if config, errs := tlsConfig(u); len(errs) > 0 {
		return nil, fmt.Errorf("open MySQL: %w", errors.Join(errs...))
	} else if config != nil {
		cfg.TLS = config // in place of a name in the driver's registry, which is global
	}
	cfg.ParseTime = q.Get("parseTime") == "true"
	cfg.Timeout = sqlopen.Duration(q.Get("timeout"), 10*time.Second)
	cfg.ReadTimeout = sqlopen.Duration(q.Get("readTimeout"), 0)
	cfg.WriteTimeout = sqlopen.Duration(q.Get("writeTimeout"), 0)
	cfg.Logger = silent{} // it would write to standard error by itself; errors are returned as well
	for _, o := range options {
		o(cfg)
	}
	if err := cfg.Apply(mysql.EnableCompression(q.Get("compress") == "true")); err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, errors.New("open MySQL: the driver refuses the URL")
	}
	return sql.OpenDB(connector), nil
}

// Interpolate saves the round trip that prepares each statement. The driver
// escapes what it puts in, safely in the character sets that collation allows.
func Interpolate(c *mysql.Config) { c.InterpolateParams = true }

type silent struct{}

func (silent) Print(...any) {}
