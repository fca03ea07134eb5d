package topology_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory" // memory://
	"github.com/sluicegate/sluicegate/broker/topology"
)

// BROKER_URL=kafka://localhost:9092 would have the same program use Kafka.
func Example() {
	config, err := topology.Parse([]byte(`
brokers:
  main:
    url: ${BROKER_URL:memory://?groups=orders.created/stock}
    options: {consumer_group: stock}
topics:
  orders.created: {broker: main}
`), os.LookupEnv)
	if err != nil {
		log.Fatal(err) // every mistake, with its line
	}
	ctx := context.Background()
	brokers, err := topology.Open(ctx, config, broker.Config{})
	if err != nil {
		log.Fatal(err)
	}
	sub, err := brokers.Subscriber("orders.created", "")
	if err != nil {
		log.Fatal(err)
	}
	msgs, err := sub.Subscribe(ctx, "orders.created")
	if err != nil {
		log.Fatal(err)
	}
	published := make(chan error, 1)
	go func() {
		published <- brokers.Publisher().Publish("orders.created", message.NewMessage("1", []byte("order 1")))
	}()
	msg := <-msgs
	fmt.Printf("%s\n", msg.Payload)
	msg.Ack()
	fmt.Println(<-published, brokers.Close())
	// Output:
	// order 1
	// <nil> <nil>
}
