package drain

import (
	"context"
	"errors"

	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
)

// SubjectRawAMQP is the limit of what RabbitMQ takes.
const SubjectRawAMQP = "RabbitMQ's client alone, no database"

// Redis compares the relays from PostgreSQL to Redis Streams.
func Redis(ctx context.Context, e env.Env) ([]report.Row, error) {
	return toBroker(ctx, e, "REDIS_URL", "drain, PostgreSQL → Redis Streams",
		func(url string) (closingTopics, error) { return server.OpenRedis(ctx, url) },
		plainAndOurs(plainly, full, report.Times(15, SubjectPlain, "≥ 15 × plain")))
}

// NATS compares the relays from PostgreSQL to JetStream.
func NATS(ctx context.Context, e env.Env) ([]report.Row, error) {
	return toBroker(ctx, e, "NATS_URL", "drain, PostgreSQL → JetStream",
		func(url string) (closingTopics, error) { return server.OpenNATS(url) },
		plainAndOurs(plainly, full, report.Times(12, SubjectPlain, "≥ 12 × plain")))
}

// AMQP compares the relays from PostgreSQL to RabbitMQ.
func AMQP(ctx context.Context, e env.Env) ([]report.Row, error) {
	const some = full * 3 / 10
	subjects := plainAndOurs(plainly/4, some,
		report.Times(12, SubjectPlain, "≥ 12 × plain"), report.Times(0.8, SubjectRawAMQP, "≥ 0.8 of the client alone"))
	subjects = append(subjects, subject{name: SubjectRawAMQP, contender: contender.RawAMQP, messages: some, quick: true, note: "2 connections, confirms waited for a thousand at a time"})
	return toBroker(ctx, e, "AMQP_URL", "drain, PostgreSQL → RabbitMQ",
		func(url string) (closingTopics, error) { return server.OpenAMQP(url) }, subjects)
}

func plainAndOurs(plain, ours int, bars ...report.Bar) []subject {
	return []subject{
		{name: SubjectPlain, contender: contender.Plain, messages: plain, plain: true, quick: true, note: "its defaults, confirms on"},
		{name: SubjectHistory, contender: contender.Ours, messages: ours},
		{name: SubjectNoHistory, contender: contender.OursNoHistory, messages: ours, quick: true, bars: bars},
	}
}

type closingTopics interface {
	server.Topics
	Close() error
}

func toBroker(ctx context.Context, e env.Env, variable, workName string, open func(url string) (closingTopics, error), subjects []subject) (rows []report.Row, err error) {
	url, err := e.URL(variable)
	if err != nil {
		return nil, err
	}
	topics, err := open(url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, topics.Close()) }()
	return withPostgres(e, func(pg *server.Postgres) ([]report.Row, error) {
		return e.Compare(ctx, Servers{pg, topics}.cases(e, workName, subjects)), nil
	})
}
