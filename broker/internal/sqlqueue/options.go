package sqlqueue

import (
	"time"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// Options are the parameters that the three drivers share.
type Options struct {
	concurrency int
	prefetch    int
	backoff     redelivery.Backoff

	lease            time.Duration
	pollMin, pollMax time.Duration
	retain           time.Duration
	horizon          time.Duration
	maxBytes         int
	migrate          bool
	prefix           string
}

// ReadOptions reads them.
func ReadOptions(q *urlparam.Query) Options {
	o := Options{
		concurrency: q.Int("concurrency", 64, 1, 10_000),
		prefetch:    q.Int("prefetch", 1000, 1, 100_000),
		backoff:     redelivery.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}.FromQuery(q),
		lease:       q.Duration("lease", 15*time.Second, 500*time.Millisecond, 10*time.Minute),
		pollMin:     q.Duration("poll_min", 5*time.Millisecond, time.Millisecond, time.Minute),
		pollMax:     q.Duration("poll_max", 250*time.Millisecond, time.Millisecond, time.Minute),
		retain:      q.Duration("retain", 24*time.Hour, 0, 10*365*24*time.Hour),
		horizon:     q.Duration("redelivery_horizon", 7*24*time.Hour, time.Minute, 10*365*24*time.Hour),
		maxBytes:    q.Int("max_message_bytes", 1_000_000, 1_000, 100_000_000),
		migrate:     q.Bool("migrate", true),
		prefix:      q.String("prefix", ""),
	}
	if _, given := q.Lookup("prefetch"); given && o.prefetch < o.concurrency {
		q.Problem("prefetch", "must not be less than concurrency, %d", o.concurrency)
	}
	o.prefetch = max(o.prefetch, o.concurrency)
	if _, given := q.Lookup("poll_max"); given && o.pollMax < o.pollMin {
		q.Problem("poll_max", "must not be less than poll_min")
	}
	o.pollMax = max(o.pollMax, o.pollMin)
	if (sqldialect.Names{Prefix: o.prefix}).Validate(sqldialect.PostgreSQL) != nil {
		q.Problem("prefix", "must be letters, digits and _, not beginning with a digit, at most %d", sqldialect.MaxPrefix)
	}
	return o
}

// Names returns where the tables are. schema is that of PostgreSQL, or empty.
func (o Options) Names(schema string) sqldialect.Names {
	return sqldialect.Names{Schema: schema, Prefix: o.prefix}
}
