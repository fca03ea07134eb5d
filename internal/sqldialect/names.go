package sqldialect

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
)

// DefaultPrefix begins the names of our tables where nothing else is configured.
const DefaultPrefix = "sluicegate_"

// MaxPrefix is the longest prefix: with it, every table and index name stays
// within PostgreSQL's 63 bytes.
const MaxPrefix = 30

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Names says where our tables are: in which schema (PostgreSQL) or database
// (MySQL), and with which prefix, so that services and environments can share
// a database without mixing.
type Names struct {
	Schema string // empty: the connection's own
	Prefix string // empty: DefaultPrefix
}

// Validate checks that the names are plain identifiers.
func (n Names) Validate(d Dialect) error { return errors.Join(n.problems(d)...) }

func (n Names) problems(d Dialect) []error {
	var errs []error
	if n.Schema != "" {
		switch {
		case d == SQLite:
			errs = append(errs, fmt.Errorf("Schema %q: SQLite has no schemas, use Prefix", n.Schema))
		case !identifier.MatchString(n.Schema) || len(n.Schema) > 63:
			errs = append(errs, fmt.Errorf("Schema %q: use letters, digits and _, not beginning with a digit, at most 63", n.Schema))
		}
	}
	if n.Prefix != "" && (!identifier.MatchString(n.Prefix) || len(n.Prefix) > MaxPrefix) {
		errs = append(errs, fmt.Errorf("Prefix %q: use letters, digits and _, not beginning with a digit, at most %d", n.Prefix, MaxPrefix))
	}
	return errs
}

// Configure returns the dialect of db: configured, or told from the driver where
// that is Unknown. It reports all that is wrong with db, the dialect and the
// names together, each as a field of the configuration called config.
func Configure(config string, db *sql.DB, configured Dialect, n Names) (Dialect, error) {
	var errs []error
	d := configured
	switch {
	case db == nil:
		errs = append(errs, errors.New("db: a database is needed, got nil"))
	case d == Unknown:
		var err error
		if d, err = Detect(db); err != nil {
			errs = append(errs, fmt.Errorf("%s.Dialect: %w", config, err))
		}
	}
	if d != Unknown && !d.Valid() {
		errs = append(errs, fmt.Errorf("%s.Dialect: %d is none of PostgreSQL, MySQL, SQLite", config, d))
	}
	for _, err := range n.problems(d) {
		errs = append(errs, fmt.Errorf("%s.%w", config, err))
	}
	return d, errors.Join(errs...)
}

func (n Names) prefix() string {
	if n.Prefix == "" {
		return DefaultPrefix
	}
	return n.Prefix
}

// Table returns the quoted, qualified name of one of our tables.
func (n Names) Table(d Dialect, name string) string {
	t := d.Quote(n.prefix() + name)
	if n.Schema != "" {
		t = d.Quote(n.Schema) + "." + t
	}
	return t
}

// Plain returns the unquoted, unqualified name of one of our tables or indexes.
func (n Names) Plain(name string) string { return n.prefix() + name }
