package stack_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-sql-driver/mysql"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

func claimBatch(ctx context.Context, p place, store *sqlstore.Store, claims []idemstore.Claim) (recs []idemstore.Record, err error) {
	err = dbtx.DB(p.db, p.dialect.TxOptions()).InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		recs, err = store.ClaimBatchTx(ctx, tx, claims)
		return err
	})
	return recs, err
}

// spy is a driver that notes each statement that its connections are given.
type spy struct {
	driver.Connector
	mu         sync.Mutex
	statements []string
}

func (s *spy) note(statement string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, statement)
}

func (s *spy) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.statements
	s.statements = nil
	return taken
}

// connector makes connections of db's own driver.
type connector struct {
	of  driver.Driver
	dsn string
}

func (c connector) Driver() driver.Driver                        { return c.of }
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.of.Open(c.dsn) }

func (s *spy) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	return &spied{Conn: c, spy: s}, err
}

type spied struct {
	driver.Conn
	spy *spy
}

var errSkip = driver.ErrSkip

func (c *spied) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	b, ok := c.Conn.(driver.ConnBeginTx)
	if !ok {
		return nil, errors.New("cannot begin")
	}
	c.spy.note("BEGIN")
	tx, err := b.BeginTx(ctx, opts)
	return spiedTx{tx, c.spy}, err
}

func (c *spied) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	x, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, errSkip
	}
	res, err := x.ExecContext(ctx, query, args)
	if !errors.Is(err, errSkip) {
		c.spy.note(query)
	}
	return res, err
}

func (c *spied) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	x, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, errSkip
	}
	rows, err := x.QueryContext(ctx, query, args)
	if !errors.Is(err, errSkip) {
		c.spy.note(query)
	}
	return rows, err
}

func (c *spied) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	x, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("cannot prepare")
	}
	c.spy.note(query) // and is run once, by what needs it
	return x.PrepareContext(ctx, query)
}

type spiedTx struct {
	driver.Tx
	spy *spy
}

func (t spiedTx) Commit() error { t.spy.note("COMMIT"); return t.Tx.Commit() }

// spiedPlace is p through a spy.
func spiedPlace(t *testing.T, p place, dsn string) (place, *spy) {
	t.Helper()
	s := &spy{Connector: connector{p.db.Driver(), dsn}}
	db := sql.OpenDB(s)
	t.Cleanup(func() { _ = db.Close() })
	p.db = db
	return p, s
}

func TestTheSqlStrengthCostsOneStatementMoreThanTheHandlersTransaction(t *testing.T) {
	for name, variable := range map[string]string{"postgres": "POSTGRES_URL", "mariadb": "MYSQL_URL"} {
		t.Run(name, func(t *testing.T) {
			plain := openPlace(t, variable)
			p, spy := spiedPlace(t, plain, dsn(t, variable))
			cfg := p.config()
			cfg.Dialect = p.dialect
			// Without Run, what goes on beside the messages stays out of the count.
			b := startBy(t, p, cfg, func(ctx context.Context, _ *sluicegate.Stack, r *message.Router) error { return r.Run(ctx) }, func(s *sluicegate.Stack, r *message.Router, b *broker.Broker) error {
				if err := s.HandleBatch(r, "batch", "many", b.Group("batch"), p.insertAll, sluicegate.BatchConfig{}); err != nil {
					return err
				}
				return s.Handle(r, "single", "one", b.Group("single"), p.insert)
			})
			for _, topic := range []string{"one", "many"} {
				spy.take()
				if err := b.Publish(topic, message.NewMessage("order-1", nil)); err != nil {
					t.Fatal(err)
				}
				if got := spy.take(); len(got) != 4 || got[0] != "BEGIN" || got[3] != "COMMIT" {
					t.Errorf("%s: %d statements, want BEGIN, the dedup row, the effect, COMMIT: %q", topic, len(got), got)
				}
			}
		})
	}
}

// dsn is the server's address as its driver wants it.
func dsn(t *testing.T, variable string) string {
	t.Helper()
	if variable == "POSTGRES_URL" {
		return os.Getenv(variable)
	}
	u, err := url.Parse(os.Getenv(variable))
	if err != nil {
		t.Fatalf("%s cannot be parsed", variable)
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	return cfg.FormatDSN()
}
