package redisstore_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

func Example() {
	server, err := miniredis.Run() // stands for a Redis server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()

	store, err := redisstore.New(client, redisstore.Config{Prefix: "shop:prod"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := store.Check(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "warning:", err)
	}
	once, err := idempotency.New(store, idempotency.Config{Consumer: "shop", Handler: "greeter"})
	if err != nil {
		fmt.Println(err)
		return
	}
	greet := once(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("hello,", string(msg.Payload))
		return nil, nil
	})
	for range 2 {
		if _, err := greet(message.NewMessage("1", message.Payload("world"))); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(server.Keys())
	// Output:
	// hello, world
	// [shop:prod:12:shop/greeter:1]
}
