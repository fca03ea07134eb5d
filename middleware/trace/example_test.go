package trace_test

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/sluicegate/sluicegate/middleware/trace"
)

func Example() {
	// The spans go to the global tracer provider, which the service sets.
	tracing, err := trace.New(trace.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// On a router: router.AddMiddleware(tracing, …), the outermost one.
	handler := tracing(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handled in trace", oteltrace.SpanContextFromContext(msg.Context()).TraceID())
		return []*message.Message{message.NewMessage("2", nil)}, nil
	})
	msg := message.NewMessage("1", nil)
	msg.Metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	out, _ := handler(msg)
	fmt.Println("output carries", out[0].Metadata.Get("traceparent"))
	// Output:
	// handled in trace 0af7651916cd43dd8448eb211c80319c
	// output carries 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}
