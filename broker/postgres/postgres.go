package postgres

import (
	"context"
	"database/sql"
	"net/url"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/internal/sqlqueue"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlopen"
	pg "github.com/sluicegate/sluicegate/internal/sqlopen/postgres"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func init() {
	broker.Register("postgres", open)
	broker.Register("postgresql", open)
}

const guarantee = "Publish returns when the message is committed, by the durability of the database (synchronous_commit, fsync); " +
	"it is delivered at least once to every group, and stays until all groups have acked it."

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	q := urlparam.NewQuery(u)
	options := sqlqueue.ReadOptions(q)
	names := options.Names(q.String("schema", ""))
	if (sqldialect.Names{Schema: names.Schema}).Validate(sqldialect.PostgreSQL) != nil {
		q.Problem("schema", "must be letters, digits and _, not beginning with a digit, at most 63")
	}
	own := sqlqueue.Own(u, q, pg.Params())
	if err := sqlqueue.Problems(u, q, pg.Check(own)); err != nil || opts.ValidateOnly {
		return nil, err
	}
	return sqlqueue.Open(sqlqueue.Database{
		Driver: "postgres", Dialect: sqldialect.PostgreSQL, Names: names, Guarantee: guarantee,
		Identity: own.String(), Open: func() (*sql.DB, error) { return pool(own) },
	}, options, opts.Logger)
}

func pool(u *url.URL) (*sql.DB, error) {
	values := u.Query()
	if values.Get("default_query_exec_mode") == "" {
		// A plan that was kept from when the tables were small walks through all
		// of them when they are large.
		values.Set("default_query_exec_mode", "cache_describe")
	}
	conns, _ := strconv.Atoi(sqlopen.Or(values.Get(sqlopen.PoolParam), "16")) // checked before
	c := *u
	c.RawQuery = values.Encode()
	db, err := pg.Open(&c)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}
