// Package redis registers the schemes redis:// and rediss:// : Redis Streams,
// by go-redis and in the wire format of watermill-redisstream, so that plain
// Watermill services can be on the other side. It needs Redis 6.2 or newer.
//
//	redis://localhost:6379/0?consumer_group=stock
//	rediss://user:password@h1:6380?tls_ca_file=ca.pem&wait_replicas=1
//
// A topic is the stream of that name. The host is one server: a list of hosts,
// Redis Cluster and Sentinel are not supported. Behind an address that moves
// to the new primary a failover is an interruption like any other.
//
// # Publishing
//
// A batch is one pipeline, with the messages of a topic in one transaction:
// the server stores all of them or none. A call that reports failure may have
// stored a message all the same, and publishing it again stores it twice. When
// the context ends, the connection is cut, so that nothing is sent later.
//
// What a confirmation is worth is the server's to decide: with appendonly yes
// and appendfsync always it survives a crash of the server; with everysec the
// last second may be lost, without appendonly everything since the last
// snapshot. With wait_replicas that many replicas have it as well. The logger
// is told once if the server may lose or evict messages.
//
// A stream grows for as long as nobody trims it, and lives in memory. Give
// retain, which removes only what every group has acked, or maxlen, which
// also removes what nobody has read yet.
//
// # Subscribing
//
// A new group begins at the oldest entry. Messages of different keys are under
// way side by side, of one key one at a time.
//
// With order=key one member of a group is active and the others stand by: the
// first deliveries of a key keep their order however many members there are.
// With order=none all members share the entries: each keeps the order of what
// it got itself, and no order is declared. All members of a group must use the
// same. They should not share the group with other programs under order=key.
//
// An entry is marked (XACK) after its message was acked, many at a time, and
// only while it still belongs to this member. While a member lives it renews
// its claims, however long a handler takes. A subscription that ends hands back
// what it has not acked; of one that died, another member takes it over after
// claim_idle. A member that cannot reach the server for nine tenths of that
// gives up its claims and cancels the contexts of its messages.
//
// An entry without a UUID gets one made from topic and entry id. One whose
// metadata cannot be read is delivered with the reason in
// sluicegate_quarantine; one without the fields of Watermill as well, with all
// its fields as a msgpack map in the payload. A nil payload is the absence of
// its field.
//
// # Parameters
//
// The path is the number of the database, default 0.
//
//	tls_ca_file         rediss only: PEM file of the authorities to trust;
//	                    default the system's
//	tls_cert_file,
//	tls_key_file        rediss only: PEM files of the client's certificate and key
//	tls_server_name     rediss only: name in the server's certificate; default
//	                    the host
//	order               key (default) or none; see above
//	concurrency         messages under way in a subscription; default 64
//	prefetch            messages that wait beside those; default 500. What waits
//	                    behind a nacked message of its key is among them.
//	claim_idle          after which the claims of a dead member go to another;
//	                    default 30s, renewed each third
//	nack_delay          wait before the first redelivery; default 100ms,
//	nack_delay_max      doubling up to this; default 10s
//	retain              removes entries older than this that every group has
//	                    acked; default off, at least 1s. Applied by members, a
//	                    hundred entries or so at a time.
//	maxlen              removes the oldest entries beyond about this number,
//	                    read or not; default off
//	max_message_bytes   the largest message: UUID, metadata and payload as sent;
//	                    default 1000000
//	publishers          calls of PublishBatch at once, each with a connection of
//	                    its own; default 4. More wait.
//	wait_replicas       replicas that must confirm a publish; default 0
//	wait_timeout        how long they may take; default 1s
//	dial_timeout        default 5s
//	redelivery_horizon  how long after publishing a copy may still be delivered,
//	                    which decides how long idempotency records must live:
//	                    the longest time for which an entry may stay unacked;
//	                    default 168h
package redis
