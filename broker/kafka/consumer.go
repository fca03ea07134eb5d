package kafka

import "github.com/sluicegate/sluicegate/internal/urlparam"

// consumer is how a claimed partition is delivered.
type consumer struct {
	concurrency int // messages under way
	limits      limits
}

// order says in which order a partition is delivered.
func (c consumer) order() string {
	if c.concurrency == 1 {
		return "The order of a whole partition is kept."
	}
	return "The order is kept by key: messages without a key have none (concurrency=1 keeps that of a whole partition)."
}

func readConsumer(q *urlparam.Query) consumer {
	c := consumer{
		concurrency: q.Int("concurrency", 64, 1, 10_000),
		limits: limits{
			bytes:  q.Int("prefetch_bytes", 8_000_000, 1_000, 1_000_000_000),
			window: int64(q.Int("window", 10_000, 1, 10_000_000)),
		},
	}
	c.limits.records = c.concurrency + q.Int("prefetch", 2_000, 0, 1_000_000)
	return c
}
