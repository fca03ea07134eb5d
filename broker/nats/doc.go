// Package nats registers the scheme nats:// : NATS JetStream, by nats.go and in
// the wire format of watermill-nats' NATSMarshaler, so that plain Watermill
// services can be on the other side.
//
//	nats://h1:4222,h2:4222?consumer_group=stock
//	nats://user:password@h1:4222?tls=true&replicas=3
//	nats://h1:4222?stream=SHOP&subjects=shop.> (all topics in one stream)
//
// # Topics and streams
//
// A topic is a subject of the same name. Its parts, separated by dots, must not
// be empty; spaces, control characters, *, > and a leading $ or _INBOX are
// refused for good. The stream is the one that holds the subject already,
// whatever its name, or else that of the parameter stream, or else one made
// for the topic and named after it, as watermill-nats names it; a dot or another
// character that no stream name has becomes _, and a short hash is appended.
//
// Streams are created with limits: a message is deleted when it is max_age old,
// and the oldest ones when max_bytes are exceeded, whether or not every group
// has had them. That is the one way in which an acknowledged message is lost
// while the server keeps its disk. A stream that exists is used as it is, and
// refused where it would break a promise: retention other than limits, no
// acknowledgements, or memory storage without storage=memory.
//
// # Publishing
//
// A message counts as published when the stream has acknowledged it: stored by
// its leader, and by a majority of its replicas. The server writes to disk at
// once and syncs every sync_interval of its own configuration (two minutes by
// default), so that one replica alone can lose acknowledged messages when its
// machine, and not only its process, dies.
//
// Messages are published in waves of up to 1000 that hold one message of a key
// each. Where that would be more than a few waves, and the stream allows it
// (nats-server 2.12 and later; streams created by this driver do), they are one
// atomic batch instead: all are stored, next to each other and in order, or
// none. Either way no message of a key overtakes one that failed. Messages whose
// acknowledgement was lost may have been stored; publishing them again stores
// them twice, unless dedupe=uuid.
//
// dedupe=uuid makes the server drop a message whose topic and UUID it has seen
// within the stream's duplicates window. It is off by default, since a
// dead letter that is replayed within that window would be dropped in silence
// with its Publish reported as a success.
//
// Metadata that NATS headers cannot carry as it is (names with spaces or beyond
// ASCII, values with line breaks or spaces at an end, and names beginning with
// Nats-, which the server would obey) travels in the header sluicegate_metadata,
// form-encoded. A nil payload is marked by the header sluicegate_payload.
//
// # Subscribing
//
// A group is one durable pull consumer of the stream for each topic, with
// explicit acks, every message from the oldest on, and no limit of deliveries.
// A message is kept from other members by heartbeats while it is queued or its
// handler runs, however long. A nacked one waits in this process. What a
// subscription has not acked when it ends goes back at once; what a process
// that died held, after ack_wait. A subscription that cannot reach the server
// for ack_wait has lost its claim: the contexts of its messages are cancelled,
// and their Acks mark nothing. An ack is sent without waiting for an answer, so
// that one which is lost on the way means another delivery; ack=sync waits.
//
// With order=key one member of a group is served at a time and the others stand
// by (a pinned client, nats-server 2.11 and later), since members that share a
// consumer would handle messages of one key side by side. Within the member up
// to concurrency messages of different keys are. A member that ends hands over
// at once; one that died is followed after ack_wait. The next one waits for all
// that the former one had not acked, and delivers that first and in order, so that the
// order holds across hand-overs and restarts of the server as well. With
// order=none all members are served.
//
// A message without a UUID header gets a UUID made from its stream, sequence
// and timestamp. One whose headers are not UTF-8 or come twice is delivered with
// the reason in sluicegate_quarantine.
//
// # Parameters
//
//	tls, tls_ca_file,
//	tls_cert_file,
//	tls_key_file,
//	tls_server_name     as with the other brokers; tls is false by default
//	creds_file          file of a JWT and its key; otherwise user name and
//	                    password, or a token alone, stand before the host
//	client_name         default sluicegate
//	domain              JetStream domain; default none
//	stream              a stream for all topics; default one for each
//	subjects            what that stream holds if it is created, as in
//	                    shop.>,billing.*
//	create              true (default): streams and consumers that do not exist
//	                    are created. Give false where they are made by hand.
//	storage             of a created stream: file (default) or memory
//	replicas            of a created stream, 1 (default) to 5
//	max_age             of a created stream: how long messages are kept; default
//	                    168h
//	max_bytes           of a created stream: its size, in bytes; default 0, no limit
//	duplicates          of a created stream: the window of dedupe=uuid; default 2m
//	dedupe              off (default) or uuid
//	atomic              true (default): atomic batches where the stream allows
//	                    them; false: always waves
//	max_message_bytes   the largest message with its metadata; default 1000000.
//	                    The server's max_payload bounds it further.
//	publish_timeout     wait for acknowledgements; default 10s
//	order               key (default) or none
//	concurrency         messages under way at once in a subscription; default 64
//	prefetch            messages that a group may hold unacked, queued ones
//	                    among them; default 1000
//	ack_wait            after which the messages of a member that died, or is cut
//	                    off, are delivered again; default 6s
//	ack                 async (default) or sync
//	nack_delay          wait before the first redelivery; default 100ms,
//	nack_delay_max      doubling up to this; default 10s
//	dial_timeout        default 5s
//	redelivery_horizon  how long messages may be delivered, which decides how
//	                    long idempotency records must live; default max_age
package nats
