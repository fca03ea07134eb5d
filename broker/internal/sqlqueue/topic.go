package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

const maxName = 255 // of a topic or a group, in bytes

func checkName(what, name string) error {
	switch {
	case len(name) > maxName:
		return failure.Permanent(fmt.Errorf("%s has %d bytes, at most %d are allowed", what, len(name), maxName))
	case !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0:
		return failure.Permanent(fmt.Errorf("%s is not UTF-8 or has a NUL character", what))
	}
	return nil
}

// topicID returns the number of a topic, which is made where it is missing.
func (s *store) topicID(ctx context.Context, name string) (int64, error) {
	if id, known := s.topics.Load(name); known {
		return id.(int64), nil //nolint:forcetypeassert,errcheck // nothing else is stored
	}
	read := s.dialect.Bind("SELECT id FROM " + s.tables.topic + " WHERE name = ?")
	var id int64
	err := s.db.QueryRowContext(s.unbroken(ctx), read, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		insert := "INSERT INTO " + s.tables.topic + " (name) VALUES (?) ON CONFLICT DO NOTHING"
		if s.dialect == sqldialect.MySQL {
			insert = "INSERT IGNORE INTO " + s.tables.topic + " (name) VALUES (?)"
		}
		if _, err := s.db.ExecContext(s.unbroken(ctx), s.dialect.Bind(insert), name); err != nil {
			return 0, s.mark(ctx, "make the topic", err)
		}
		err = s.db.QueryRowContext(s.unbroken(ctx), read, name).Scan(&id)
	}
	if err != nil {
		return 0, s.mark(ctx, "look up the topic", err)
	}
	s.topics.Store(name, id)
	return id, nil
}

// lockClass tells the locks of these tables from other advisory locks in the
// same PostgreSQL database.
func (s *store) lockClass() int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte("sluicegate queue " + s.tables.topic))
	return int32(h.Sum32()) //nolint:gosec // any 32 bits will do
}

// shareTopics keeps new groups out of the topics until tx ends. It returns how
// many of them exist, and the database's clock.
//
// PostgreSQL's lock is an advisory one: of row locks the shared ones go past
// those who wait for an exclusive one, who then may wait for ever.
func (s *store) shareTopics(ctx context.Context, tx *sql.Tx, ids []int64) (found int, now int64, err error) {
	list := join64(ids)
	query := "SELECT id, " + s.dialect.Now() + " FROM " + s.tables.topic + " WHERE id IN (" + list + ")"
	switch s.dialect {
	case sqldialect.PostgreSQL:
		query = fmt.Sprintf("SELECT id, %s, pg_advisory_xact_lock_shared(%d, id) FROM %s WHERE id IN (%s)", s.dialect.Now(), s.lockClass(), s.tables.topic, list)
	case sqldialect.MySQL:
		query += " LOCK IN SHARE MODE"
	default: // a SQLite transaction has the file to itself
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int64
		dest := []any{&id, &now}
		if s.dialect == sqldialect.PostgreSQL {
			dest = append(dest, new(any)) // void
		}
		if err := rows.Scan(dest...); err != nil {
			return 0, 0, err
		}
		found++
	}
	return found, now, rows.Err()
}

// ownTopic keeps publishers out of the topic until tx ends.
func (s *store) ownTopic(ctx context.Context, tx *sql.Tx, id int64) error {
	var err error
	switch s.dialect {
	case sqldialect.PostgreSQL:
		_, err = tx.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d, %d)", s.lockClass(), id))
	case sqldialect.MySQL:
		_, err = tx.ExecContext(ctx, fmt.Sprintf("SELECT id FROM %s WHERE id = %d FOR UPDATE", s.tables.topic, id))
	default:
	}
	return err
}

// register makes the group exist: what is published from now on gets rows for
// it. What is there already is its backlog, which fill hands over.
func (s *store) register(ctx context.Context, topic, group string) (topicID, groupID int64, err error) {
	if err := errors.Join(checkName("topic", topic), checkName("consumer group", group)); err != nil {
		return 0, 0, err
	}
	if err := s.ready(ctx); err != nil {
		return 0, 0, err
	}
	if topicID, err = s.topicID(ctx, topic); err != nil {
		return 0, 0, err
	}
	find := s.dialect.Bind("SELECT id FROM " + s.tables.group + " WHERE topic_id = ? AND name = ?")
	err = s.db.QueryRowContext(s.unbroken(ctx), find, topicID, group).Scan(&groupID)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.retried(ctx, func() error {
			return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
				groupID, err = s.makeGroup(ctx, tx, topicID, group, find)
				return err
			})
		})
	}
	return topicID, groupID, s.mark(ctx, "register the consumer group", err)
}

func (s *store) makeGroup(ctx context.Context, tx *sql.Tx, topicID int64, group, find string) (id int64, err error) {
	if err := s.ownTopic(ctx, tx, topicID); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, find, topicID, group).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err // another member was quicker
	}
	var last int64
	query := "SELECT COALESCE(MAX(id), 0) FROM " + s.tables.message + " WHERE topic_id = ?"
	if err := tx.QueryRowContext(ctx, s.dialect.Bind(query), topicID).Scan(&last); err != nil {
		return 0, err
	}
	insert := "INSERT INTO " + s.tables.group + " (topic_id, name, backlog_from, backlog_to, created_at) VALUES (?, ?, 0, ?, " + s.dialect.Now() + ")"
	if _, err := tx.ExecContext(ctx, s.dialect.Bind(insert), topicID, group, last); err != nil {
		return 0, err
	}
	return id, tx.QueryRowContext(ctx, find, topicID, group).Scan(&id)
}

// backlogRows is how many messages one transaction of fill hands over.
const backlogRows = 5000

// fill hands the next part of the backlog to the group and reports whether that
// was all. Several members may do so at once: one at a time goes on.
func (s *store) fill(ctx context.Context, topicID, groupID int64) (done bool, err error) {
	lock := ""
	if s.dialect != sqldialect.SQLite {
		lock = " FOR UPDATE"
	}
	err = s.retried(ctx, func() error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			var from, to int64
			query := s.dialect.Bind("SELECT backlog_from, backlog_to FROM " + s.tables.group + " WHERE id = ?" + lock)
			if err := tx.QueryRowContext(ctx, query, groupID).Scan(&from, &to); err != nil {
				return err
			}
			if done = from >= to; done {
				return nil
			}
			upto, err := s.fillRange(ctx, tx, topicID, groupID, from, to)
			if err != nil {
				return err
			}
			done = upto >= to
			_, err = tx.ExecContext(ctx, s.dialect.Bind("UPDATE "+s.tables.group+" SET backlog_from = ? WHERE id = ?"), upto, groupID)
			return err
		})
	})
	return done, s.mark(ctx, "hand over the backlog", err)
}

func (s *store) fillRange(ctx context.Context, tx *sql.Tx, topicID, groupID, from, to int64) (upto int64, err error) {
	query := fmt.Sprintf("SELECT COALESCE(MAX(id), ?) FROM (SELECT id FROM %s WHERE topic_id = ? AND id > ? AND id <= ? ORDER BY id LIMIT %d) AS part",
		s.tables.message, backlogRows)
	var last int64
	if err := tx.QueryRowContext(ctx, s.dialect.Bind(query), to, topicID, from, to).Scan(&last); err != nil {
		return 0, err
	}
	insert := fmt.Sprintf("INSERT INTO %s (group_id, shard, message_id, key_hash) SELECT %d, shard, id, key_hash FROM %s WHERE topic_id = ? AND id > ? AND id <= ?",
		s.tables.pending, groupID, s.tables.message)
	_, err = tx.ExecContext(ctx, s.dialect.Bind(insert), topicID, from, last)
	return last, err
}
