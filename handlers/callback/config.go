package callback

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// The defaults.
const (
	DefaultTopic       = "calls.ended"
	DefaultDeadline    = 24 * time.Hour
	DefaultQueryEvery  = 5 * time.Minute
	DefaultLookUps     = 3
	DefaultLookUpEvery = time.Second
	DefaultParkFor     = 24 * time.Hour
	DefaultTimeout     = 15 * time.Second
	DefaultMaxBody     = 256 << 10
	DefaultRetain      = 15 * 24 * time.Hour
	DefaultKnown       = 100_000
	DefaultMaxWaiting  = 256
	DefaultHistory     = 200
)

// Dialect is a kind of database.
type Dialect = sqldialect.Dialect

// Executor runs a statement in the caller's transaction; *sql.Tx is one, and
// pgxtx.Wrap makes one of a pgx.Tx.
type Executor = dbtx.Executor

// Outbox is where results go; *forwarder.Outbox is one. Its table must be in the
// Caller's database.
type Outbox interface {
	// Publish writes messages in the transaction.
	Publish(ctx context.Context, tx Executor, topic string, msgs ...*message.Message) error
	// Wake has them leave at once, after the commit.
	Wake()
}

// Response is what a service has answered to a request or a query.
type Response struct {
	StatusCode int
	Header     http.Header
	Body       []byte // up to Config.MaxBody bytes; what is longer is an error before
}

// Read says what an answer means. Pending: the service has the call and works on it.
// Succeeded and Failed end the call. An error is not a result: the request or query is made
// again later, after the Retry-After of the answer where it has one.
type Read func(Response) (Result, error)

// Config of a Caller. The zero value lacks only a way to verify callbacks: Keys
// or Verify.
type Config struct {
	// Service names the other side, and keeps its calls apart from those of others in
	// the tables: 1 to 48 of a-z, 0-9, ".", "_" and "-". Default "default".
	Service string
	// Topic is where the messages with the results go. Default "calls.ended".
	Topic string
	// Encode makes the message of a result. Default: JSON as Ended has it.
	Encode func(Ended) ([]byte, error)

	// Dialect is the kind of database. Default: told from the driver.
	Dialect Dialect
	// Schema (PostgreSQL) or database (MySQL) of the tables. Default: the
	// connection's own.
	Schema string
	// Prefix of the tables' names. Default "sluicegate_".
	Prefix string

	// Keys verify callbacks as Standard Webhooks: "whsec_…" or "whpk_…", the current
	// one and those that are going out of use.
	Keys []string
	// Tolerance is how far the timestamp of a callback may be from now, either way.
	// Default 5 min.
	Tolerance time.Duration
	// Verify verifies a callback in place of Keys. The body of r has been read. It must compare in
	// constant time and bound the age of what it accepts.
	Verify func(r *http.Request, body []byte) error
	// Parse reads number and result from a callback that was verified. The body of r has been read.
	// What it takes from anywhere but the body is not covered by the signature of
	// Keys. Default: ParseJSON.
	Parse func(r *http.Request, body []byte) (number string, result Result, err error)

	// Headers are the names that Call.Header may have. Default Content-Type and Accept.
	Headers []string
	// Authorize adds credentials, or a signature, to each request and query just
	// before it leaves; nothing of that is stored. Default: nothing is added.
	Authorize func(r *http.Request, body []byte) error
	// ReadSend says what the answer to the request means. Default: ReadAccepted.
	ReadSend Read
	// SendDelay is how long after the commit a call is sent. Default: at once.
	SendDelay time.Duration
	// SendDelays are the waits after the first, second, … request that came to
	// nothing; the last is kept until the deadline. Default 1 s, 5 s, 15 s, 30 s,
	// 1 min, 2 min, 5 min.
	SendDelays []time.Duration

	// QueryURL is where the result is asked for, by GET; "{number}" in it is replaced. Default:
	// nothing is asked, and a call without a callback ends at its deadline.
	QueryURL string
	// Query makes the query in place of QueryURL. It is given the call as it was
	// submitted.
	Query func(ctx context.Context, v View) (*http.Request, error)
	// ReadQuery says what the answer to a query means. ErrUnknown has the request sent again.
	// Default: ReadJSON.
	ReadQuery Read
	// QueryEvery is the time from the request to the first query, and between two.
	// Default 5 min.
	QueryEvery time.Duration
	// QueryJitter is the random part that is added to QueryEvery, as a fraction of it, up to 1: calls
	// that were sent together are not asked for together. Default 0.05. NoJitter: none.
	QueryJitter float64

	// Deadline is how long after Submit a call may be without a result. Default 24 h.
	Deadline time.Duration
	// Timeout limits one request or query. Default 15 s.
	Timeout time.Duration
	// AllowPrivate lets requests go to loopback and private addresses. Link-local ones
	// and the metadata services of clouds stay closed. Default: public addresses only.
	AllowPrivate bool
	// Allow are networks that requests may go to whatever they are. Default none.
	Allow []netip.Prefix
	// Client sends the requests, in place of the guarded one: then what it dials
	// and follows is the caller's to bound. Default: one that looks at each address when it
	// connects, takes no proxy from the environment, and follows no redirects.
	Client *http.Client
	// Concurrency is how many requests and queries this process has under way at a time. Default
	// 16.
	Concurrency int
	// PerHost is how many of them may go to one host. Default: three quarters of
	// Concurrency.
	PerHost int
	// Lease is how long a call stays with a process that died while it was at work
	// on it. Default 1 min.
	Lease time.Duration
	// PollMax is how late a call may be sent that another process has submitted.
	// Default 5 s.
	PollMax time.Duration

	// MaxBody bounds a callback, the body of a Call and the answer to a query, in bytes. Default
	// 256 KiB.
	MaxBody int
	// Known is how many numbers the local cache remembers, the newest. Default
	// 100,000.
	Known int
	// LookUps is how often a callback is looked up again that found no call. Default 3; -1: never,
	// it is parked at once.
	LookUps int
	// LookUpEvery is the time between two of them. Default 1 s.
	LookUpEvery time.Duration
	// MaxWaiting is how many callbacks may wait between their look-ups at a time; more
	// are parked at once. Default 256.
	MaxWaiting int
	// ParkFor is how long a callback is kept whose call is not there. Default 24 h.
	ParkFor time.Duration

	// Retain is how long a call is kept after its end, with its history. Default 15 days.
	// Negative: for ever.
	Retain time.Duration
	// History is how many entries the history of a call may have; what comes after
	// is only counted. Default 200.
	History int

	// Alerts is told of calls that timed out, of results that contradict, and of
	// callbacks that expired. Default: nobody.
	Alerts alert.Emitter
	// Observe is told what became of requests, queries and callbacks, after it is true. It must
	// neither block nor panic. Default: nobody.
	Observe func(Fact)
	// Now is the clock of deadlines, leases and signatures, for tests. Default: the
	// database's, and for signatures the process's.
	Now func() time.Time
	// Logger hears of what no caller can be told; never of a body, a header or a
	// URL. Default: discards.
	Logger *slog.Logger
}

// NoJitter is a Config.QueryJitter of none at all.
const NoJitter = -1
