package deadletter

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/fingerprint"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/text"
)

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// The dialects.
const (
	PostgreSQL = sqldialect.PostgreSQL
	MySQL      = sqldialect.MySQL // and MariaDB
	SQLite     = sqldialect.SQLite
)

// Executor runs a statement in the caller's transaction; *sql.Tx is one.
type Executor = dbtx.Executor

// ErrNotFound says that no letter has this id.
var ErrNotFound = errors.New("no such dead letter")

// SQLConfig of SQL. The zero value is ready to use.
type SQLConfig struct {
	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema is the schema (PostgreSQL) or database (MySQL) of the tables.
	// Default: the connection's own.
	Schema string
	// Prefix begins the tables' names. Default "sluicegate_".
	Prefix string
}

// SQLStore keeps letters in the table sluicegate_dead_letter.
type SQLStore struct {
	db      *sql.DB
	dialect Dialect
	table   string
	actions string
	indexes string // how their names begin
	insert  string // but for the time
}

// maxColumn is how many bytes the name columns hold in every dialect.
const maxColumn = 255

// SQL returns a store on db. The tables must exist: they are made by the
// migrations of this module. Nothing is read or written here. The store is safe
// for concurrent use.
func SQL(db *sql.DB, cfg SQLConfig) (*SQLStore, error) {
	names := sqldialect.Names{Schema: cfg.Schema, Prefix: cfg.Prefix}
	d, err := sqldialect.Configure("SQLConfig", db, cfg.Dialect, names)
	if err != nil {
		return nil, fmt.Errorf("configure dead-letter table: %w", err)
	}
	table := names.Table(d, schema.DeadLetter)
	return &SQLStore{
		db: db, dialect: d, table: table, actions: names.Table(d, schema.DeadAction), indexes: names.Plain(schema.DeadLetter) + "_",
		insert: "INSERT INTO " + table + " (ref, status, consumer, handler, topic, subscriber, message_key, message_uuid, payload," +
			" headers, reason, fingerprint, attempt_count, attempts, epoch, previous_id, dead_at) VALUES (" + sqldialect.List(16) + ", %s)",
	}, nil
}

// Put stores l in a transaction of its own.
func (s *SQLStore) Put(ctx context.Context, l Letter) error { return s.PutTx(ctx, s.db, l) }

// PutTx stores l in the caller's transaction. Names of more than 255 bytes are
// shortened, ending in a hash of the whole; invalid UTF-8 and NUL in texts, which
// PostgreSQL would refuse for ever, are replaced.
func (s *SQLStore) PutTx(ctx context.Context, tx Executor, l Letter) error {
	l.Ref, l.Status = rand.Text(), Dead
	args, err := insertArgs(l)
	if err != nil {
		return fmt.Errorf("store dead letter: %w", err)
	}
	if _, err := tx.ExecContext(ctx, s.dialect.Bind(fmt.Sprintf(s.insert, s.dialect.Now())), args...); err != nil {
		return fmt.Errorf("insert dead letter: %w", err)
	}
	return nil
}

// insertArgs are the arguments of insert.
func insertArgs(l Letter) ([]any, error) {
	if l.Message == nil {
		return nil, errors.New("Letter.Message: is nil")
	}
	headers, err := header.Encode(l.Message.Metadata)
	if err != nil {
		return nil, err
	}
	attempts, err := json.Marshal(l.Attempts)
	if err != nil {
		return nil, fmt.Errorf("encode attempts: %w", err)
	}
	last := 0
	if n := len(l.Attempts); n > 0 {
		last = l.Attempts[n-1].Number
	}
	reason := text.Clean(l.Reason)
	return []any{
		l.Ref, string(l.Status), column(l.Consumer), column(l.Handler), column(l.Topic), column(l.Subscriber), column(l.Key),
		column(l.Message.UUID), []byte(l.Message.Payload), headers, reason, fingerprint.Of(reason), last, string(attempts), l.Epoch, l.Previous,
	}, nil
}

func column(s string) string {
	s = text.Clean(s)
	if len(s) <= maxColumn {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	tail := "#" + hex.EncodeToString(sum[:16])
	return text.Short(s, maxColumn-len(tail)) + tail
}

// now returns the database's clock in microseconds.
func (s *SQLStore) now(ctx context.Context) (int64, error) {
	var now int64
	if err := s.db.QueryRowContext(ctx, "SELECT "+s.dialect.Now()).Scan(&now); err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// queryInts returns the rows of a query of integers.
func (s *SQLStore) queryInts(ctx context.Context, columns int, query string, args ...any) (out [][]int64, err error) {
	rows, err := s.db.QueryContext(ctx, s.dialect.Bind(query), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		values, dest := make([]int64, columns), make([]any, columns)
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		out = append(out, values)
	}
	return out, rows.Err()
}
