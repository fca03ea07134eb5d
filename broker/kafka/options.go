package kafka

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/broker/internal/tlsparam"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

type options struct {
	addrs   []string
	config  *sarama.Config // never used as it is: see connect
	backoff redelivery.Backoff

	hash         func(key []byte) int32
	consumer     consumer
	createTopics bool
	detail       sarama.TopicDetail
	producers    int
	horizon      time.Duration
	dialTimeout  time.Duration
}

const defaultPort = 9092

func readOptions(u *url.URL) (options, error) {
	var problems []error
	addrs, err := urlparam.Hosts(u.Host, defaultPort)
	problems = append(problems, err)
	if u.Path != "" && u.Path != "/" {
		problems = append(problems, errors.New("kafka:// has no path: topics are named where they are used"))
	}
	q := urlparam.NewQuery(u)
	o := options{
		addrs:        addrs,
		backoff:      redelivery.Backoff{First: 100 * time.Millisecond, Max: 10 * time.Second}.FromQuery(q),
		hash:         javaHash,
		createTopics: q.Bool("create_topics", true),
		detail: sarama.TopicDetail{
			NumPartitions:     int32(q.Int("partitions", 8, 1, 10_000)), //nolint:gosec // bounded
			ReplicationFactor: int16(replication(q)),                    //nolint:gosec // bounded
		},
		producers:   q.Int("producers", 4, 1, 64),
		horizon:     q.Duration("redelivery_horizon", 7*24*time.Hour, time.Minute, 10*365*24*time.Hour),
		dialTimeout: q.Duration("dial_timeout", 5*time.Second, 100*time.Millisecond, 5*time.Minute),
	}
	o.consumer = readConsumer(q)
	if acks, given := q.Lookup("acks"); given && acks != "all" {
		q.Problem("acks", "must be all: with anything less a confirmed message can be lost")
	}
	if q.Enum("partitioner", "murmur2", "murmur2", "fnv") == "fnv" {
		o.hash = saramaHash
	}
	o.config = saramaConfig(q)
	o.config.Net.TLS.Config, o.config.Net.TLS.Enable = tlsparam.Read(q)
	readSASL(q, u.User, o.config)
	problems = append(problems, q.Err())
	if err := errors.Join(problems...); err != nil {
		return options{}, err
	}
	if err := o.config.Validate(); err != nil {
		return options{}, fmt.Errorf("check the client's configuration: %w", err)
	}
	return o, nil
}

// replication reads replication_factor: -1, the cluster's default, or from 1 on.
func replication(q *urlparam.Query) int {
	n := q.Int("replication_factor", -1, -1, 100)
	if n == 0 {
		q.Problem("replication_factor", "must not be 0; -1 is the cluster's default")
	}
	return n
}

func saramaConfig(q *urlparam.Query) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.ClientID = q.String("client_id", "sluicegate")
	c.MetricRegistry = noMetrics{}
	c.Metadata.Full = false
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.RefreshFrequency = time.Minute // a new partition is found within it
	c.Net.MaxOpenRequests = 1
	c.Net.ReadTimeout = 15 * time.Second
	c.Net.WriteTimeout = 15 * time.Second

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Timeout = 10 * time.Second
	c.Producer.MaxMessageBytes = q.Int("max_message_bytes", 1_000_000, 1_000, 100_000_000)
	c.Producer.Compression = compressions[q.Enum("compression", "none", "none", "gzip", "snappy", "lz4", "zstd")]

	session := q.Duration("session_timeout", 10*time.Second, 6*time.Second, 30*time.Minute)
	c.Consumer.Return.Errors = true
	c.Consumer.Fetch.Default = 2 << 20 // bytes of a partition: a quarter less waiting than with sarama's 1 MiB
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = q.Duration("commit_interval", time.Second, 10*time.Millisecond, time.Minute)
	c.Consumer.Group.Session.Timeout = session
	c.Consumer.Group.Heartbeat.Interval = min(3*time.Second, session/3)
	return c
}

var compressions = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func readSASL(q *urlparam.Query, user *url.Userinfo, c *sarama.Config) {
	mechanism := q.Enum("sasl", "", "plain", "scram-sha-256", "scram-sha-512")
	_, given := q.Lookup("sasl")
	password, hasPassword := user.Password()
	switch {
	case mechanism == "" && !given && user != nil:
		q.Problem("sasl", "is missing: the URL has a user name; is it plain, scram-sha-256 or scram-sha-512?")
		return
	case mechanism == "":
		return
	case user.Username() == "" || !hasPassword || password == "":
		q.Problem("sasl", "needs a user name and a password before the host, as in kafka://user:password@host")
		return
	}
	c.Net.SASL.Enable = true
	c.Net.SASL.Handshake = true
	c.Net.SASL.User, c.Net.SASL.Password = user.Username(), password
	switch mechanism {
	case "plain":
		c.Net.SASL.Mechanism = sarama.SASLTypePlaintext
	case "scram-sha-256":
		c.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA256
		c.Net.SASL.SCRAMClientGeneratorFunc = newScramSHA256
	case "scram-sha-512":
		c.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA512
		c.Net.SASL.SCRAMClientGeneratorFunc = newScramSHA512
	}
}
