// Package mysql registers the schemes mysql:// and mariadb:// : a queue in a
// MySQL or MariaDB database, for services that have one anyway and want no
// broker beside it. docs/adr/0008-sql-as-a-queue.md has the reasons for its design.
//
//	mysql://user:password@host:3306/database?consumer_group=stock
//
// The other transactions of the database hold nothing back. The wire format is
// this package's own, not that of watermill-sql. A message may have at most half
// of the server's max_allowed_packet.
//
// # Publishing
//
// A batch is stored in one transaction, all of it or nothing (one of more than
// 16 MiB in several, one after the other), and Publish returns after its
// COMMIT. A call that reports failure may have committed all the same where the
// connection broke in that moment; publishing again then stores a second copy.
//
// A message stays until every group has acked it, however long that takes:
// nothing undelivered is ever removed, and that includes the messages of a
// topic without groups and of a group that nobody subscribes any more. To drop
// a group, delete its rows in queue_pending and in queue_group.
//
// # Subscribing
//
// A group exists from its first Subscribe on, and begins at the oldest message
// that is there; the topic's backlog is handed over first. Its members share 32
// shards, a hash of the key, by leases: more than 32 members stand by. One
// message of a key is under way at a time, up to concurrency keys side by side.
// A key that fails holds back itself alone.
//
// A member that joins gets its part within half a lease, when the messages
// under way have been handled; a handler that takes longer than a lease is
// cancelled then. A member that closes gives back at once. What a killed one had
// under way goes to the others within one and a quarter of lease. An Ack
// deletes within a few milliseconds, and only while the lease is held, which
// a fencing number proves.
//
// Order holds for what one publisher publishes after the other. A message whose
// transaction stays open for more than 20 s after its INSERT is still
// delivered, but may come after later ones of its key.
//
// # Other programs
//
// The tables are queue_topic, queue_group, queue_message and queue_pending, and
// lease, all with the prefix. The others that are made beside them are those of
// the outbox, the inbox and the handlers; a queue leaves them empty.
//
// Metadata is a flat JSON object of strings in headers. What is not, or a key
// that is not UTF-8, is delivered with the reason in sluicegate_quarantine.
// Another program may insert, in one transaction, a message and a pending row of
// it for each group of its topic; all messages of a key need the same shard
// (0 to 31) and key_hash. Without message_uuid it gets a UUID that stays the same.
//
// # Parameters
//
//	concurrency         messages under way at once in a subscription; default 64
//	prefetch            messages read ahead by a subscription; default 1000,
//	                    and not less than concurrency. What waits behind a
//	                    failing key is not counted, up to four times as many.
//	nack_delay          wait before the first redelivery; default 100ms,
//	nack_delay_max      doubling up to this; default 10s
//	lease               after which a member that died loses its shards;
//	                    default 15s, 500ms to 10m
//	poll_min, poll_max  the database is asked for messages this often, less
//	                    and less while there are none; default 5ms and 250ms.
//	                    A Publish by this process wakes its subscribers at once.
//	retain              how long a message that every group has acked is kept,
//	                    for groups that come later; default 24h, 0 not at all
//	max_message_bytes   the largest message, payload, metadata, key and UUID;
//	                    default 1000000
//	redelivery_horizon  how long idempotency records must live; default 168h.
//	                    A message that was handled and not acked comes again when
//	                    its group is next there, however long that takes.
//	prefix              of the tables' names; default sluicegate_
//	migrate             true (default): missing tables are made where the broker
//	                    is first used. With false their lack is an error.
//	pool_max_conns      connections of this process, shared by the brokers
//	                    opened at the same URL; default 16
//	tls                 false (default), true, preferred or skip-verify; only true
//	                    protects
//	tls_ca_file         PEM file of the authorities to trust; default the system's
//	tls_cert_file,
//	tls_key_file        PEM files of the client's certificate and key
//	tls_server_name     the name in the server's certificate; default the host
//	timeout             of connecting; default 10s
//	readTimeout, writeTimeout, collation, compress, parseTime,
//	maxAllowedPacket    as go-sql-driver defines them
package mysql
