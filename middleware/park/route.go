package park

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
)

// route is what Watermill's router tells of a handler in the context of its
// messages.
type route struct{ handler, topic, output, subscriber, publisher string }

func routeOf(ctx context.Context) route {
	return route{
		handler: message.HandlerNameFromCtx(ctx), topic: message.SubscribeTopicFromCtx(ctx), output: message.PublishTopicFromCtx(ctx),
		subscriber: message.SubscriberNameFromCtx(ctx), publisher: message.PublisherNameFromCtx(ctx),
	}
}

// with returns a context that tells the same, for a message that no router has
// delivered.
func (r route) with(ctx context.Context) context.Context {
	return routed{ctx, [...]string{r.handler, r.topic, r.output, r.subscriber, r.publisher}}
}

// routed is a context that answers for Watermill's keys.
type routed struct {
	context.Context //nolint:containedctx // it is one
	values          [5]string
}

func (r routed) Value(key any) any {
	if i := slices.Index(routeKeys[:], key); i >= 0 && key != nil && r.values[i] != "" {
		return r.values[i]
	}
	return r.Context.Value(key)
}

// routeKeys are Watermill's keys, in the order above. It does not export them, but
// it asks a context for them.
var routeKeys = func() (keys [5]any) {
	for i, ask := range []func(context.Context) string{
		message.HandlerNameFromCtx, message.SubscribeTopicFromCtx, message.PublishTopicFromCtx,
		message.SubscriberNameFromCtx, message.PublisherNameFromCtx,
	} {
		a := &asked{Context: context.Background()}
		ask(a)
		keys[i] = a.key
	}
	return keys
}()

// asked is a context that remembers which key it was asked for.
type asked struct {
	context.Context //nolint:containedctx // it is one
	key             any
}

func (a *asked) Value(key any) any {
	a.key = key
	return nil
}
