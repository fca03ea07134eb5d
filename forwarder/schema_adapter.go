package forwarder

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

var errWriteOnly = errors.New("the outbox is read by its relay, not by watermill-sql's subscriber")

// schemaAdapter lets watermill-sql's publisher write our table. It belongs to
// one call: the rows were made and checked from the messages before.
type schemaAdapter struct {
	dialect sqldialect.Dialect
	table   string
	rows    []row
}

func (a *schemaAdapter) InsertQuery(string, message.Messages) (wsql.Query, error) {
	const columns = "shard, topic, message_key, message_uuid, payload, headers, traceparent, tracestate, created_at"
	// The clock is the statement's only expression, so that all rows agree with
	// the database's idea of time and not with ours.
	one := "(?, ?, ?, ?, ?, ?, ?, ?, " + a.dialect.Now() + ")"
	var b strings.Builder
	b.Grow(128 + len(a.rows)*(len(one)+24))
	b.WriteString("INSERT INTO " + a.table + " (" + columns + ") VALUES ")
	args := make([]any, 0, len(a.rows)*8)
	for i := range a.rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one)
		args = append(args, a.rows[i].args()...)
	}
	return wsql.Query{Query: a.dialect.Bind(b.String()), Args: args}, nil
}

func (a *schemaAdapter) SelectQuery(string, string, wsql.OffsetsAdapter) wsql.Query {
	return wsql.Query{}
}

func (a *schemaAdapter) UnmarshalMessage(wsql.Scanner) (wsql.Row, error) {
	return wsql.Row{}, errWriteOnly
}

func (a *schemaAdapter) SchemaInitializingQueries(string) []wsql.Query { return nil }

func (a *schemaAdapter) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelDefault }

// contextExecutor gives watermill-sql's publisher, which executes with
// context.Background(), the caller's context. It needs only ExecContext of the
// transaction; the publisher calls nothing else.
type contextExecutor struct {
	ctx context.Context //nolint:containedctx // replaces the context that the publisher does not pass on
	tx  Executor
}

func (e contextExecutor) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	return e.tx.ExecContext(e.ctx, query, args...)
}

func (e contextExecutor) Exec(query string, args ...any) (sql.Result, error) {
	return e.tx.ExecContext(e.ctx, query, args...)
}

func (contextExecutor) Query(string, ...any) (*sql.Rows, error) { return nil, errWriteOnly }

func (contextExecutor) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errWriteOnly
}

func (contextExecutor) QueryRow(string, ...any) *sql.Row { return nil }

func (contextExecutor) QueryRowContext(context.Context, string, ...any) *sql.Row { return nil }
