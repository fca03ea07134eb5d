package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// checkTopic applies Kafka's rules for names, so that an impossible one is
// refused before anything connects.
func checkTopic(topic string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case topic == "" || topic == "." || topic == "..":
		return errors.New(`topic name must not be empty, "." or ".."`)
	case len(topic) > 249:
		return errors.New("topic name is longer than 249 characters")
	case strings.Trim(topic, allowed) != "":
		return errors.New("topic name has a character other than letters, digits, dot, underscore and hyphen")
	}
	return nil
}

// Initialize makes the topic exist. A group needs no such thing: it begins at
// the oldest record.
func (d *driver) Initialize(ctx context.Context, topic, _ string) error {
	if err := checkTopic(topic); err != nil {
		return failure.Permanent(err)
	}
	return d.ensureTopic(ctx, topic)
}

// ensureTopic returns nil when topic exists, having created it where it is
// missing and that is allowed.
func (d *driver) ensureTopic(ctx context.Context, topic string) error {
	d.mu.Lock()
	_, known := d.known[topic]
	d.mu.Unlock()
	if known {
		return nil
	}
	config, f := d.fenced()
	defer f.cut()
	// A missing topic is no reason to wait and ask again; one just created is,
	// until it has its leaders.
	var created atomic.Bool
	config.Metadata.Retry.Max = 8
	config.Metadata.Retry.BackoffFunc = func(int, int) time.Duration {
		if !created.Load() {
			return 0
		}
		return f.pause(250 * time.Millisecond)
	}
	defer context.AfterFunc(ctx, f.cut)()
	client, err := sarama.NewClient(d.addrs, config)
	if err != nil {
		return d.away(ctx, err)
	}
	defer func() { _ = client.Close() }()
	if err := d.findOrCreate(client, topic, &created); err != nil {
		if failure.IsPermanent(err) || errors.Is(err, errTopic) {
			return err
		}
		return d.away(ctx, err)
	}
	d.mu.Lock()
	d.known[topic] = struct{}{}
	d.mu.Unlock()
	return nil
}

// errTopic is what only a person can set right.
var errTopic = errors.New("topic cannot be used")

func (d *driver) findOrCreate(client sarama.Client, topic string, created *atomic.Bool) error {
	err := client.RefreshMetadata(topic)
	switch {
	case err == nil, errors.Is(err, sarama.ErrLeaderNotAvailable):
		return nil
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed):
		return fmt.Errorf("%w: kafka does not let this user see topic %q", errTopic, topic)
	case !errors.Is(err, sarama.ErrUnknownTopicOrPartition):
		return err
	case !d.createTopics:
		return fmt.Errorf("%w: topic %q does not exist, and create_topics is false", errTopic, topic)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	detail := d.detail
	err = admin.CreateTopic(topic, &detail, false)
	switch {
	case err == nil, errors.Is(err, sarama.ErrTopicAlreadyExists):
	case errors.Is(err, sarama.ErrInvalidTopic):
		return failure.Permanent(fmt.Errorf("create topic %q: %w", topic, err))
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed),
		errors.Is(err, sarama.ErrPolicyViolation), errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return fmt.Errorf("%w: create topic %q: %w; create it by hand and set create_topics=false", errTopic, topic, err)
	default:
		return fmt.Errorf("create topic %q: %w", topic, err)
	}
	d.logger.Info("created topic", "topic", topic, "partitions", detail.NumPartitions)
	created.Store(true)
	return client.RefreshMetadata(topic)
}

// forgetTopic makes the next use of topic look for it again.
func (d *driver) forgetTopic(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, topic)
}
