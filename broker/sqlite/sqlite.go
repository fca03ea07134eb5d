package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/internal/sqlqueue"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	lite "github.com/sluicegate/sluicegate/internal/sqlopen/sqlite"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

func init() { broker.Register("sqlite", open) }

const guarantee = "Publish returns when the message is synced to the file; it is delivered at least once to every group, " +
	"and stays until all groups have acked it. Publisher and subscribers must be one process."

func open(_ context.Context, u *url.URL, opts broker.Options) (broker.Driver, error) {
	q := urlparam.NewQuery(u)
	options := sqlqueue.ReadOptions(q)
	own := sqlqueue.Own(u, q, lite.Params())
	path, found := lite.Path(u)
	if err := lite.Memory("sqlite://" + path); err != nil {
		found = []error{err}
	}
	withoutHost := *u
	withoutHost.Host = "" // it is the beginning of a path
	if err := sqlqueue.Problems(&withoutHost, q, found); err != nil || opts.ValidateOnly {
		return nil, err
	}
	path, err := identity(path)
	if err != nil {
		return nil, err
	}
	return sqlqueue.Open(sqlqueue.Database{
		Driver: "sqlite", Dialect: sqldialect.SQLite, Names: options.Names(""), Guarantee: guarantee,
		Identity: "sqlite " + path, Open: func() (*sql.DB, error) { return pool(path, own.Query()) },
	}, options, opts.Logger)
}

// identity is the one name of a file, so that all brokers of this process that
// use it share a connection.
func identity(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(folder, filepath.Base(path))
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file
	}
	return path, nil
}

// pool has one connection: two writers of one file wait for each other by
// polling.
func pool(path string, q url.Values) (*sql.DB, error) {
	db, err := lite.Open(path, q)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	return db, nil
}
