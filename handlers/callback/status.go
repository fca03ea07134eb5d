package callback

import (
	"errors"
	"time"
)

// Status says where a call stands, or in a Result what the service says of it.
type Status string

// The statuses of a call.
const (
	Waiting   Status = "waiting" // committed, not known to be sent
	Sent      Status = "sent"    // the service has accepted it
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	TimedOut  Status = "timed_out" // the deadline came first
)

// Pending is a Result's status only: the service is still at work.
const Pending Status = "pending"

// Final reports whether a call of this status has ended.
func (s Status) Final() bool { return s == Succeeded || s == Failed || s == TimedOut }

func (s Status) valid() bool { return s == Waiting || s == Sent || s.Final() }

// Source says from where a result came.
type Source string

// The sources.
const (
	ByCallback Source = "callback"
	ByQuery    Source = "query"
	BySend     Source = "send" // the answer to the request itself was final
	ByDeadline Source = "deadline"
)

// Result is what a service says of a call.
type Result struct {
	// Status is Pending, Succeeded or Failed.
	Status Status
	// Code is the service's word for it, stable; cut at 255 bytes.
	Code string
	// Reason is for people; cut at 4 KiB.
	Reason string
	// Data is what the call has produced, up to Config.MaxBody bytes; nil is none.
	Data []byte
}

// What errors.Is finds in an error of this package.
var (
	// ErrInvalid: an argument cannot be used. Nothing was stored.
	ErrInvalid = errors.New("invalid call")
	// ErrExists: there is a call with this number. Nothing was stored.
	ErrExists = errors.New("call exists")
	// ErrNotFound: there is no call with this number, or it is not visible yet.
	ErrNotFound = errors.New("call not found")
	// ErrUnknown is what ReadQuery returns where the service says that it does not know
	// the number: the request is sent again.
	ErrUnknown = errors.New("the service does not know the call")
)

// Limits, in bytes.
const (
	MaxNumber  = 255
	MaxKind    = 255
	MaxURL     = 2048
	MaxHeaders = 16 << 10
	maxCode    = 255
	maxReason  = 4 << 10
	maxError   = 1 << 10
)

// Call is a request that is to be sent.
type Call struct {
	// Number is the request number: what the service calls back with, and what it is
	// asked by. 1 to 255 visible ASCII characters, unique in the service. Default:
	// a new UUIDv7.
	Number string
	// Kind is the caller's word for what this is about, such as
	// "copy_classroom". Up to 255 bytes. Default none.
	Kind string
	// URL is where the request goes. Required: http or https, without user and password,
	// and no private address unless Config.AllowPrivate or Config.Allow lets it.
	URL string
	// Method is the HTTP method. Default POST.
	Method string
	// Header is sent with the request, and stored: what Config.Headers does not
	// list is refused. Credentials belong in Config.Authorize.
	Header map[string]string
	// Body is sent as it is. Up to Config.MaxBody bytes.
	Body []byte
	// Deadline is how long after Submit the call may be without a result. Default:
	// Config.Deadline.
	Deadline time.Duration
	// SendDelay is how long after the commit it is sent. Default: Config.SendDelay.
	SendDelay time.Duration
}

// View is a call as the table has it.
type View struct {
	ID                    int64
	Service, Number, Kind string
	Method, URL           string
	Header                map[string]string
	Body                  []byte
	Status                Status
	// Result is that of a call that has ended, and Source from where it came. The
	// Status of a result is that of the call.
	Result Result
	Source Source
	// Sends and Queries are how many requests were made that had an end,
	// whatever end; Callbacks are all that named the call.
	Sends, Queries, Callbacks int64
	// Repeated, Late and Contradicted are those of the callbacks and queries that
	// came after the result.
	Repeated, Late, Contradicted int64
	// Error is why the last request failed; empty where it did not.
	Error     string
	CreatedAt time.Time
	UpdatedAt time.Time
	Deadline  time.Time
	// SentAt and EndedAt are zero where that has not happened.
	SentAt, EndedAt time.Time
}

// Open reports whether the call has no result yet.
func (v View) Open() bool { return !v.Status.Final() }
