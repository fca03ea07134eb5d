package deadletter

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/dbtx"
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
	// Schema is the schema (PostgreSQL) or database (MySQL) of the table.
	// Default: the connection's own.
	Schema string
	// Prefix begins the table's name. Default "sluicegate_".
	Prefix string
}

// SQLStore keeps letters in the table sluicegate_dead_letter.
type SQLStore struct {
	db      *sql.DB
	dialect Dialect
	insert  string
	query   string // up to WHERE
	count   string
}

// statusDead is a letter that waits for a decision.
const statusDead = "dead"

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
		db: db, dialect: d,
		insert: d.Bind("INSERT INTO " + table + " (status, consumer, handler, topic, message_key, message_uuid, payload," +
			" headers, reason, attempt_count, attempts, dead_at) VALUES (" + sqldialect.List(11) + ", " + d.Now() + ")"),
		query: "SELECT id, consumer, handler, topic, message_key, message_uuid, payload, headers, reason, attempts, dead_at FROM " +
			table + " WHERE status = '" + statusDead + "'",
		count: "SELECT COUNT(*) FROM " + table + " WHERE status = '" + statusDead + "'",
	}, nil
}

// Put stores l in a transaction of its own.
func (s *SQLStore) Put(ctx context.Context, l Letter) error { return s.PutTx(ctx, s.db, l) }

// PutTx stores l in the caller's transaction. Names of more than 255 bytes are
// shortened, ending in a hash of the whole; invalid UTF-8 and NUL in texts, which
// PostgreSQL would refuse for ever, are replaced.
func (s *SQLStore) PutTx(ctx context.Context, tx Executor, l Letter) error {
	if l.Message == nil {
		return errors.New("store dead letter: Letter.Message: is nil")
	}
	headers, err := encodeHeaders(l.Message.Metadata)
	if err != nil {
		return err
	}
	attempts, err := json.Marshal(l.Attempts)
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	last := 0
	if n := len(l.Attempts); n > 0 {
		last = l.Attempts[n-1].Number
	}
	_, err = tx.ExecContext(ctx, s.insert, statusDead, column(l.Consumer), column(l.Handler), column(l.Topic), column(l.Key),
		column(l.Message.UUID), []byte(l.Message.Payload), headers, text.Clean(l.Reason), last, string(attempts))
	if err != nil {
		return fmt.Errorf("insert dead letter: %w", err)
	}
	return nil
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
