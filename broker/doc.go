// Package broker opens a Pub/Sub by URL and states what it guarantees.
//
//	import _ "github.com/sluicegate/sluicegate/broker/kafka" // kafka://
//
//	b, err := broker.Open(ctx, "kafka://localhost:9092?consumer_group=stock", broker.Config{})
//
// A driver is a package that registers its schemes when it is imported, as with
// database/sql: broker/memory (memory://, in this process alone), kafka, redis,
// nats, amqp, postgres, mysql and sqlite. A program compiles the clients of those
// that it imports, and no other.
//
// A [Broker] is a Watermill Publisher and Subscriber, and publishes batches
// for the relay. Whatever the driver:
//
//   - Publish and PublishBatch return after the broker has acknowledged every
//     message, or say of each message that it was not. An error that
//     is marked as by retry.Permanent means that this message can never be
//     published as it is (too large, a topic name that cannot exist); one that
//     unavailable.Is recognises, that the broker could not be reached and no
//     attempt was made or its outcome is unknown. Both are packages below
//     middleware, and a driver of one's own marks its errors with them.
//   - The metadata entry sluicegate_key is the partition key: messages of one
//     topic and key are first delivered in the order in which they were
//     published, one at a time in each consumer group.
//   - Every consumer group gets every message; the subscribers of one group
//     share them.
//   - A message that is nacked, or whose subscription ends before its Ack, is
//     delivered again, after a delay that grows; later messages of its key wait.
//     An Ack after the subscription or the claim has ended marks nothing.
//   - The context of a delivered message is cancelled when its subscription
//     ends or the broker takes it back.
//   - A message that cannot be read as one of Watermill's is delivered all the
//     same, with the reason in the metadata entry sluicegate_quarantine.
//
// What differs between drivers is declared by [Broker.Capabilities].
package broker
