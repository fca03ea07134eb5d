package drain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

// The works of this package.
const (
	WorkKafka    = "drain, PostgreSQL → Kafka"
	WorkTakeover = "drain Watermill's own table → Kafka"
	WorkLink     = "drain, PostgreSQL → Kafka, 0.5 ms away"
	WorkMariaDB  = "drain, MariaDB → Kafka"
)

// The subjects, as the report names them.
const (
	SubjectPlain     = "plain Watermill forwarder"
	SubjectTuned     = "plain forwarder, batch 1000, poll 10 ms"
	SubjectOagudo    = "oagudo/outbox v1.0.1"
	SubjectRiver     = "River v0.43.0, 1,000 workers"
	SubjectHistory   = "sluicegate, history kept"
	SubjectNoHistory = "sluicegate, no history"
	SubjectTakeover  = "sluicegate, takeover"
	SubjectRaw       = "bare loop, same table, lanes and client"
	SubjectFastest   = "bare loop, franz-go"
)

// Amounts of work of a full run. The slower ones are given less: what counts
// is the rate.
const (
	full    = 100_000
	plainly = 10_000
)

// Servers are what the drains over one pair of servers need.
type Servers struct {
	Databases server.Databases
	Topics    server.Topics
}

// subject is one contender in a work.
type subject struct {
	name, contender string
	messages        int
	bars            []report.Bar
	note            string
	plain, quick    bool
}

func (s Servers) cases(e env.Env, workName string, subjects []subject) []work.Case {
	var cases []work.Case
	for _, sub := range subjects {
		if e.Quick && !sub.quick {
			continue
		}
		t := trial{contender: sub.contender, databases: s.Databases, topics: s.Topics, messages: e.Scaled(sub.messages, chunk), payload: e.Payload}
		cases = append(cases, work.Case{
			Work: workName, Subject: sub.name, Metrics: work.Rate(sub.bars...), Note: sub.note, Plain: sub.plain, Trial: t.run,
		})
	}
	return cases
}

// Kafka compares the relays from PostgreSQL to Kafka.
func Kafka(ctx context.Context, e env.Env) ([]report.Row, error) {
	return withPostgresKafka(e, func(s Servers) []report.Row {
		return e.Compare(ctx, s.cases(e, WorkKafka, []subject{
			{name: SubjectPlain, contender: contender.Plain, messages: plainly, plain: true, quick: true, note: "batch 100, poll 1 s, acks=leader, its defaults"},
			{name: SubjectTuned, contender: contender.PlainTuned, messages: plainly},
			{name: SubjectOagudo, contender: contender.Oagudo, messages: plainly, note: "batch 1000, next batch at once, franz-go, one message at a time"},
			{name: SubjectRiver, contender: contender.River, messages: 2 * plainly, note: "a job a message, franz-go shared by the workers, no order by key"},
			{name: SubjectHistory, contender: contender.Ours, messages: full, quick: true, bars: []report.Bar{report.Times(20, SubjectPlain, "≥ 20 × plain")}},
			{name: SubjectNoHistory, contender: contender.OursNoHistory, messages: full, quick: true, bars: []report.Bar{
				report.Times(40, SubjectPlain, "≥ 40 × plain"), report.Times(0.7, SubjectRaw, "≥ 0.7 of the bare loop"),
			}},
			{name: SubjectRaw, contender: contender.RawOurs, messages: full, quick: true},
			{name: SubjectFastest, contender: contender.RawFastest, messages: full},
		}))
	})
}

// Backlog drains a large backlog on a busy database.
func Backlog(ctx context.Context, e env.Env) ([]report.Row, error) {
	return withPostgresKafka(e, func(s Servers) []report.Row {
		t := trial{
			contender: contender.OursNoHistory, databases: s.Databases, topics: s.Topics,
			messages: e.Scaled(10*full, chunk), payload: e.Payload, meanwhile: busyDatabase,
		}
		c := work.Case{
			Work:    fmt.Sprintf("drain %s while a transaction is open and 1,000 rows/s are written", report.Number(float64(t.messages))),
			Subject: SubjectNoHistory, NoWarmUp: true, Timeout: 4 * time.Minute, Trial: t.run,
			Note: "plain delivers nothing while the transaction is open",
			Metrics: work.Rate(
				report.Bar{Text: "≥ 0.8 of the drain above", Limit: 0.8, Base: &report.Base{Work: WorkKafka, Subject: SubjectNoHistory}},
				report.Bar{Text: "≤ 200 MB", Limit: 200, AtMost: true, Memory: true},
			),
		}
		return e.Compare(ctx, []work.Case{c})
	})
}

// Takeover drains a table that Watermill's forwarder publisher has filled.
func Takeover(ctx context.Context, e env.Env) ([]report.Row, error) {
	return withPostgresKafka(e, func(s Servers) []report.Row {
		return e.Compare(ctx, s.cases(e, WorkTakeover, []subject{
			{name: SubjectPlain, contender: contender.Plain, messages: plainly, plain: true, quick: true},
			{name: SubjectTakeover, contender: contender.OursTakeover, messages: full, quick: true, bars: []report.Bar{report.Times(25, SubjectPlain, "≥ 25 × plain")}},
		}))
	})
}

// MariaDB compares the relays from MariaDB to Kafka.
func MariaDB(ctx context.Context, e env.Env) (rows []report.Row, err error) {
	url, err := e.URL("MYSQL_URL")
	if err != nil {
		return nil, err
	}
	db, err := server.OpenMariaDB(url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return withKafka(e, func(k *server.Kafka) []report.Row {
		return e.Compare(ctx, Servers{db, k}.cases(e, WorkMariaDB, []subject{
			{name: SubjectPlain, contender: contender.Plain, messages: plainly / 2, plain: true, quick: true},
			{name: SubjectHistory, contender: contender.Ours, messages: full},
			{name: SubjectNoHistory, contender: contender.OursNoHistory, messages: full, quick: true, bars: []report.Bar{report.Times(30, SubjectPlain, "≥ 30 × plain")}},
		}))
	})
}

func withPostgresKafka(e env.Env, do func(Servers) []report.Row) (rows []report.Row, err error) {
	return withPostgres(e, func(pg *server.Postgres) ([]report.Row, error) {
		return withKafka(e, func(k *server.Kafka) []report.Row { return do(Servers{pg, k}) })
	})
}

func withPostgres(e env.Env, do func(*server.Postgres) ([]report.Row, error)) (rows []report.Row, err error) {
	url, err := e.URL("POSTGRES_URL")
	if err != nil {
		return nil, err
	}
	pg, err := server.OpenPostgres(url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.Close()) }()
	return do(pg)
}

func withKafka(e env.Env, do func(*server.Kafka) []report.Row) (rows []report.Row, err error) {
	url, err := e.URL("KAFKA_URL")
	if err != nil {
		return nil, err
	}
	k, err := server.OpenKafka(url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return do(k), nil
}
