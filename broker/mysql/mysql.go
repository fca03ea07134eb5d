package mysql

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
	my "github.com/sluicegate/sluicegate/internal/sqlopen/mysql"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func init() {
	broker.Register("mysql", open)
	broker.Register("mariadb", open)
}

const guarantee = "Publish returns when the message is committed, by the durability of the database (innodb_flush_log_at_trx_commit=1); " +
	"it is delivered at least once to every group, and stays until all groups have acked it."

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	q := urlparam.NewQuery(u)
	options := sqlqueue.ReadOptions(q)
	own := sqlqueue.Own(u, q, my.Params())
	if err := sqlqueue.Problems(u, q, my.Check(own)); err != nil || opts.ValidateOnly {
		return nil, err
	}
	own.Scheme = "mysql"
	return sqlqueue.Open(sqlqueue.Database{
		Driver: "mysql", Dialect: sqldialect.MySQL, Names: options.Names(""), Guarantee: guarantee,
		Identity: own.String(), Open: func() (*sql.DB, error) { return pool(own) },
	}, options, opts.Logger)
}

func pool(u *url.URL) (*sql.DB, error) {
	db, err := my.Open(u, my.Interpolate)
	if err != nil {
		return nil, err
	}
	conns, _ := strconv.Atoi(sqlopen.Or(u.Query().Get(sqlopen.PoolParam), "16")) // checked before
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}
