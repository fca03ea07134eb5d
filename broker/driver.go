package broker

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
)

// Outgoing is one message on its way to a topic, as PublishBatch takes it.
type Outgoing = batch.Outgoing

// Driver is what a broker has to offer. The methods may be called from many
// goroutines. Package brokertest holds the suite that a driver must pass.
type Driver interface {
	// PublishBatch publishes msgs, in their order for each topic and key, and
	// returns after each was acknowledged or refused, or ctx has ended. Nil
	// means that all were acknowledged; otherwise there is one element a
	// message. Errors are marked as package broker's comment says. msgs is
	// never empty, and every topic and message in it is non-empty.
	PublishBatch(ctx context.Context, msgs []Outgoing) []error

	// Subscribe delivers the messages of topic to one more member of group,
	// until ctx ends. It may return before the broker was reached, but a
	// message published after it has returned must arrive. When ctx ends, the
	// contexts of the messages under way are cancelled, and the channel is
	// closed as the last act. A driver may stop sending at any time after ctx
	// has ended and must not count on the channel being read to its end.
	Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error)

	// Check reports whether the broker can be reached right now.
	Check(ctx context.Context) error

	// Capabilities says what the driver, as it is configured, can do.
	Capabilities() Capabilities

	// Close lets go of everything by the time ctx ends. All subscriptions
	// have ended when it is called. It is called once.
	Close(ctx context.Context) error
}

// Initializer is implemented by drivers that can make a topic and a group exist
// before anyone has subscribed. Subscribe does the same by itself.
type Initializer interface {
	Initialize(ctx context.Context, topic, group string) error
}

// Options is what a driver is opened with.
type Options struct {
	// Logger is never nil.
	Logger *slog.Logger
	// ValidateOnly asks the driver to check the URL and to return a nil
	// Driver: it must not connect, start or share anything.
	ValidateOnly bool
}

// OpenFunc opens a driver. It checks all of u and reports every problem
// together, without any part of u.User. It does not wait for the broker: one
// that is down is waited for later, and told about by Check. u no longer
// holds the parameters that package broker understands itself (consumer_group).
type OpenFunc func(ctx context.Context, u *url.URL, opts Options) (Driver, error)

// Order says which order a broker keeps.
type Order string

// The orders.
const (
	// OrderNone: no order is promised.
	OrderNone Order = "none"
	// OrderByKey: the first deliveries of one topic and key keep the order of
	// publishing, and one message of a key is under way at a time in a group.
	OrderByKey Order = "key"
)

// Capabilities declares what a broker, as it is configured, can do.
type Capabilities struct {
	// Driver is the scheme, such as "kafka".
	Driver string
	// Guarantee is one sentence for people: what a returned Publish means
	// and what can still be lost.
	Guarantee string

	// Order is the order kept.
	Order Order
	// Groups: every consumer group gets every message.
	Groups bool
	// KeyConcurrency: a slow or failing key holds back no other key.
	KeyConcurrency bool
	// OldMessages: a group that subscribes for the first time gets what the
	// broker still holds from before.
	OldMessages bool
	// Persistent: acknowledged messages survive the end of this process.
	Persistent bool
	// SplitProcesses: publisher and subscribers may be different processes.
	SplitProcesses bool
	// ConsumedAck: Publish returns when the consumer groups have acked, not
	// when the message is stored.
	ConsumedAck bool
	// Delay: messages can be published for later.
	Delay bool
	// Lag: the driver can tell how far behind a group is.
	Lag bool

	// RedeliveryHorizon is how long after publishing the broker may still
	// deliver a copy of a message. Idempotency records must be kept longer. 0 means that
	// no copy outlives this process.
	RedeliveryHorizon time.Duration
	// MaxMessageBytes is the largest message that is accepted, with its key
	// and metadata as sent. 0 means no limit.
	MaxMessageBytes int
}
