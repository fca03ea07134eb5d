package drain

import (
	"context"
	"errors"
	"time"

	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/link"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
)

// linkDelay is that of each direction.
const linkDelay = 500 * time.Microsecond

// delayed makes topics by the direct way and gives contenders the slow one.
type delayed struct {
	*server.Kafka
	url string
}

func (d delayed) Scratch(ctx context.Context) (*server.Topic, error) {
	topic, err := d.Kafka.Scratch(ctx)
	if err == nil {
		topic.URL = d.url
	}
	return topic, err
}

// Link compares the relays over a link with a delay, to a Kafka that the bench
// starts for it.
func Link(ctx context.Context, e env.Env) (rows []report.Row, err error) {
	e.Say("starting a Kafka behind a link with %v of delay", linkDelay)
	broker, err := link.StartKafka(ctx, linkDelay)
	if err != nil {
		return nil, errors.Join(env.ErrMissing, err)
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	k, err := server.OpenKafka(broker.Direct)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return withPostgres(e, func(pg *server.Postgres) ([]report.Row, error) {
		return e.Compare(ctx, Servers{pg, delayed{k, broker.Delayed}}.cases(e, WorkLink, []subject{
			{name: SubjectPlain, contender: contender.Plain, messages: plainly / 4, plain: true, quick: true, note: "its defaults"},
			{name: SubjectHistory, contender: contender.Ours, messages: full},
			{name: SubjectNoHistory, contender: contender.OursNoHistory, messages: full, quick: true, bars: []report.Bar{report.Times(100, SubjectPlain, "≥ 100 × plain")}},
		})), nil
	})
}
