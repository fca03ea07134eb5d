// Package kafka registers the scheme kafka:// : Apache Kafka, by sarama and in
// the wire format of watermill-kafka, so that plain Watermill services can be
// on the other side.
//
//	kafka://h1:9092,h2:9092?consumer_group=stock
//	kafka://user:password@h1:9093?tls=true&sasl=scram-sha-512
//
// # Publishing
//
// A message counts as published when all in-sync replicas have it (acks=all);
// no other setting is accepted. Producers are idempotent, so that a retry
// inside one call is stored once and in order. A call that reports failure may
// have stored a message all the same, and publishing it again stores it twice.
// After the first failure, and when the context ends, the call's connections
// are cut, so that nothing of it is sent later and no message of a key
// overtakes one that failed. sarama cannot take a request back: what was on
// the wire may still be stored.
//
// The metadata entry sluicegate_key becomes the record key, placed as Java's
// clients do (murmur2), and is not sent as a header. A nil payload is a
// tombstone. A topic with fewer partitions than before the key was last used
// is Kafka's usual gap in the order by key.
//
// # Subscribing
//
// A new group begins at the oldest record. Up to concurrency messages of a
// partition are under way at a time, one of a key, in the order of the key. A
// record without a key has a place in no order: where the order of a whole
// partition is needed, set concurrency=1.
//
// A nacked message comes again after a growing wait, during which those of its
// key wait and the others go on. An offset is marked once its message and all
// before it are acked, committed every commit_interval, and when the partition
// is let go of. So a slow or failing message holds the offset, and what
// was acked after it comes again when the process dies: at most window
// records, for a partition does not run further ahead of its lowest unfinished
// message than that. It then waits for it.
//
// When a partition is taken back, or the subscription ends, the contexts of its
// messages are cancelled, and a later Ack marks nothing. The context of a
// message goes on after its Ack. A broker that is away is waited for.
//
// A record without a UUID header gets a UUID made from its topic, partition,
// offset and timestamp. One whose key or headers are not UTF-8, or that has a
// header twice, is delivered with the reason in sluicegate_quarantine.
//
// # Parameters
//
//	tls                 true or false (default)
//	tls_ca_file         PEM file of the authorities to trust; default the system's
//	tls_cert_file,
//	tls_key_file        PEM files of the client's certificate and key
//	tls_server_name     default the host; all tls_ parameters need tls=true
//	sasl                plain, scram-sha-256 or scram-sha-512; user name and
//	                    password stand before the host
//	client_id           default sluicegate
//	create_topics       true (default): a topic that does not exist is created
//	                    where it is first published or subscribed to. Give
//	                    false where topics are made by hand.
//	partitions          of a created topic; default 8
//	replication_factor  of a created topic; default -1, the cluster's own
//	max_message_bytes   the largest record; default 1000000
//	compression         none (default), gzip, snappy, lz4 or zstd
//	partitioner         murmur2 (default) or fnv, what stock sarama and
//	                    watermill-kafka use; for topics that both write to
//	producers           calls of PublishBatch at once, each with connections
//	                    of its own; default 4. More wait.
//	acks                all, and nothing else
//	nack_delay          wait before the first redelivery; default 100ms,
//	nack_delay_max      doubling up to this; default 10s
//	concurrency         messages of a partition under way at once; default 64.
//	                    1 keeps the order of the whole partition: a nacked
//	                    message then holds back all behind it.
//	prefetch            records of a partition that may wait in this process
//	                    beside those under way, those behind a failing one of
//	                    their key among them; default 2000
//	prefetch_bytes      what the keys and payloads of both may have together;
//	                    default 8000000 bytes a partition. One message is
//	                    always taken.
//	window              offsets from the lowest unfinished message of a
//	                    partition up to which others are begun; default 10000
//	commit_interval     default 1s
//	session_timeout     after which a member that died loses its partitions;
//	                    default 10s
//	dial_timeout        default 5s
//	redelivery_horizon  how long the topics keep records, which decides how
//	                    long idempotency records must live; default 168h
package kafka
