// Package sqlopen holds the words that the packages below it share. Each of
// those knows the URL of one kind of database and compiles that driver alone.
package sqlopen

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// PoolParam is how many connections may be open, for the servers.
const PoolParam = "pool_max_conns"

// Server returns what is wrong with the host and the database of u.
func Server(u *url.URL, hasHost bool) []error {
	var errs []error
	if !hasHost {
		errs = append(errs, fmt.Errorf("has no host: write it as %s://user:password@host/database", u.Scheme))
	}
	name := strings.TrimPrefix(u.Path, "/")
	switch {
	case name == "":
		errs = append(errs, fmt.Errorf("names no database: write it as %s://user:password@host/database", u.Scheme))
	case strings.Contains(name, "/"):
		errs = append(errs, errors.New("names a database with a / in it: is the path too long?"))
	}
	return errs
}

// Or returns v, or fallback where it is empty.
func Or(v, fallback string) string {
	if v == "" {
		return fallback
	}
	return v
}

// File is the beginning of a data source name for SQLite, up to the ?, for a file
// whose path may hold what means something in a URL: the folder of a test's second
// subtest of one name ends in "#01".
func File(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(filepath.ToSlash(path))
}

// Duration reads v, which was checked before, or returns fallback.
func Duration(v string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(v); err == nil {
		return d
	}
	return fallback
}
