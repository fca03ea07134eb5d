// Package sqlite opens SQLite's files by URL, with modernc.org/sqlite.
package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/sluicegate/sluicegate/internal/address"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
)

// Params are the parameters of a URL.
func Params() map[string]address.Check {
	return map[string]address.Check{"busy_timeout": address.Duration(0, 10*time.Minute)}
}

// URL returns the URL of a file.
func URL(path string) string {
	return (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(path)}).String()
}

// Memory is what to say of a URL that names no file but :memory:, or nil.
func Memory(raw string) error {
	if strings.HasPrefix(raw, "sqlite") && strings.Contains(raw, ":memory:") {
		return errors.New("names :memory:, which loses everything at the end: name a file, sqlite:///path/file.db")
	}
	return nil
}

// Path returns the file that u names: sqlite:///abs.db or sqlite://rel.db.
func Path(u *url.URL) (string, []error) {
	var errs []error
	host, err := url.PathUnescape(u.Host)
	if err != nil {
		errs = append(errs, errors.New("has a broken %-escape in its path"))
	}
	path := filepath.FromSlash(host + u.Path)
	if u.User != nil {
		errs = append(errs, errors.New("has a user, but a file has none: write it as sqlite:///path/file.db"))
	}
	if path == "" || path == "/" {
		return "", append(errs, errors.New("names no file: write it as sqlite:///path/file.db or sqlite://file.db"))
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		errs = append(errs, fmt.Errorf("%s is a folder: name a file in it", path))
	} else if info, err := os.Stat(filepath.Dir(path)); err != nil {
		errs = append(errs, fmt.Errorf("folder %s cannot be used: make it first", filepath.Dir(path)))
	} else if !info.IsDir() {
		errs = append(errs, fmt.Errorf("%s is no folder: name a file in a folder", filepath.Dir(path)))
	}
	return path, errs
}

// Open opens the file, with the parameters of its URL. Like sql.Open it
// connects at the first use. The caller bounds the connections.
func Open(path string, q url.Values) (*sql.DB, error) { return sql.Open("sqlite", dsn(path, q)) }

// dsn makes commits durable (FULL), takes the write lock when a transaction
// begins, so that it never has to be upgraded, and waits for other processes.
func dsn(path string, q url.Values) string {
	wait := sqlopen.Duration(q.Get("busy_timeout"), 5*time.Second)
	return fmt.Sprintf("%s?_txlock=immediate&_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)",
		sqlopen.File(path), wait.Milliseconds())
}
