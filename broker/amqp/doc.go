// Package amqp registers the schemes amqp:// and amqps:// : RabbitMQ, by
// amqp091-go, in the topology and wire format of watermill-amqp's durable
// Pub/Sub, so that plain Watermill services can be on the other side.
//
//	amqp://user:password@h1:5672,h2:5672/vhost?consumer_group=stock
//	amqps://user:password@h1:5671?tls_ca_file=/etc/ca.pem
//
// Without a user it logs in as guest; without a path it uses the virtual host
// "/". Of several hosts the first that answers is used.
//
// # Topology
//
// A topic is a durable fanout exchange of its name, a group a durable queue
// named topic_group that is bound to it: what watermill-amqp makes by
// NewDurablePubSubConfig with GenerateQueueNameTopicNameWithSuffix. Two pairs of
// topic and group that give one queue name, as "a" with "b_c" and "a_b" with
// "c", are refused where one program subscribes to both. Queues are declared
// with arguments (see consumer and queue_type), which RabbitMQ never changes on
// a queue that exists: a program that wants others gets an error that says so.
// A plain Watermill subscriber can be a member of the same group where both
// parameters say so: consumer=shared and queue_type=classic.
//
// # Publishing
//
// A message counts as published when RabbitMQ has confirmed it: stored on disk
// in every queue that it went to (persistent delivery mode, durable queues). A
// call publishes all of its messages on a connection of its own and then waits
// for their confirms. There is no way to switch confirms off.
//
// RabbitMQ drops what no queue is bound for, and confirms it. Messages are
// therefore published as mandatory: one to a topic that no consumer group has
// been declared for is refused, with an error that unavailable.Is
// recognises, and can be published again once one has. A group is declared
// when it first subscribes, by SubscribeInitialize, or by every publisher that
// has it in the parameter groups. Who wants the messages dropped says
// unrouted=drop. A group gets what is published from its declaration on: the
// messages before it went to the other groups only.
//
// The first failure cuts the connection of its call, so that nothing of it is
// sent later; what is not confirmed by then is reported as unavailable, though
// it may have been stored, and so is all that follows a failed message in its
// key. Only a queue that refuses a message (x-overflow=reject-publish, say) can
// store a later one of the key before it. After a refusal the topic is
// therefore published in waves, one message of a key at a time, for a minute.
// While RabbitMQ blocks publishers (memory or disk alarm), calls wait until
// their context ends.
//
// Metadata must fit into one frame (128 KiB by default), names and metadata
// keys into 255 bytes. A nil payload is told apart from an empty one by the
// header sluicegate_nil. The metadata entry sluicegate_key is sent as a header
// like any other.
//
// # Subscribing
//
// Each subscription has a connection of its own. Messages of different keys
// are under way at once, up to concurrency, one of a key at a time. A nacked
// one waits in this process and comes again after a growing wait, during which
// the later ones of its key wait as well. When the subscription ends or its
// connection breaks, RabbitMQ gives everything that is not acked to the next
// member, in its place in the queue: at once where the connection is closed, as
// when the process dies, and after at most three times the heartbeat where the
// machine has vanished. Up to prefetch messages are held by a member.
//
// With consumer=single (the default) RabbitMQ delivers to one member of a group
// at a time and to the next when that one has gone (x-single-active-consumer),
// which is what keeps the order by key. With consumer=shared all members get
// messages side by side, and messages of one key may meet in two of them: no order is declared.
//
// RabbitMQ closes the channel of a member that holds a message unacked for
// longer than consumer_timeout, a setting of the server, 30 minutes by default:
// all that the member holds is then delivered again. It must be longer than a
// message waits for its turn here (prefetch ÷ concurrency × the handler's time)
// and than a nacked one is tried.
//
// A quorum queue counts how often a message came back to it and, beyond its
// delivery limit, drops it or sends it to a dead-letter exchange. Nacks do not count here, since
// they never reach it, but ended subscriptions do: queues are declared
// with a limit of 1,000,000 in place of RabbitMQ 4's 20.
//
// A message without the UUID header gets its message_id, or else a UUID made
// from its content, headers and properties, so that it is the same each time;
// senders of messages that may be alike should set message_id. Headers that are
// numbers, booleans or times become text; other kinds of values, and text that is not UTF-8, are
// left out and the message is delivered with the reason in sluicegate_quarantine.
//
// # Parameters
//
//	consumer            single (default) or shared; see above
//	queue_type          classic (default) or quorum
//	groups              topic/group pairs, separated by commas, that are
//	                    declared before something is published to the topic,
//	                    with the arguments of this URL: consumer and queue_type
//	                    must be as the subscribers have them
//	unrouted            fail (default), or drop: a message to a topic without
//	                    groups is dropped and counts as published
//	declare             true (default), or false where exchanges, queues and
//	                    bindings are made by hand and only looked for
//	confirms            true, and nothing else
//	publishers          calls of PublishBatch at once, each with a connection;
//	                    default 4. More wait.
//	max_message_bytes   the largest message with its metadata; default 16777216,
//	                    as in RabbitMQ 4 (3.x takes eight times that)
//	concurrency         messages under way at once in a subscription; default 64
//	prefetch            unacked messages held by a subscription, those under
//	                    way among them; default 512, or concurrency if more
//	nack_delay          wait before the first redelivery; default 100ms,
//	nack_delay_max      doubling up to this; default 10s
//	heartbeat           default 10s; the server may want less
//	dial_timeout        for each host; default 5s. Subscribe waits about as long
//	                    before it goes on in the background.
//	connection_name     shown by RabbitMQ's tools; default sluicegate
//	tls_ca_file         PEM file of the authorities to trust; default the system's
//	tls_cert_file,
//	tls_key_file        PEM files of the client's certificate and key
//	tls_server_name     default the host; all tls_ parameters need amqps://
//	redelivery_horizon  how long a message may wait in a queue, which decides
//	                    how long idempotency records must live; default 168h
package amqp
