package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// errUnusable is what only a person can set right.
var errUnusable = errors.New("topic cannot be used")

// streamRef is what publishing and subscribing need to know of a stream.
type streamRef struct {
	name       string
	atomic     bool // it takes atomic batches
	maxMessage int  // its own limit of a message's bytes; 0 is none
}

// Initialize makes the stream and the group's consumer exist.
func (d *driver) Initialize(ctx context.Context, topic, group string) error {
	if err := checkTopic(topic); err != nil {
		return failure.Permanent(err)
	}
	js, err := d.consuming.get(ctx)
	if err != nil {
		return err
	}
	ref, err := d.ensureStream(ctx, js, topic)
	if err != nil {
		return err
	}
	_, err = d.ensureConsumer(ctx, js, ref, topic, group)
	return err
}

// ensureStream returns the stream that holds topic, having created it where
// it is missing and that is allowed.
func (d *driver) ensureStream(ctx context.Context, js jetstream.JetStream, topic string) (*streamRef, error) {
	d.mu.Lock()
	ref := d.streams[topic]
	d.mu.Unlock()
	if ref != nil {
		return ref, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.publishTimeout)
	defer cancel()
	config, err := d.findOrCreate(ctx, js, topic)
	if err != nil {
		return nil, d.explain(ctx, fmt.Sprintf("find the stream of topic %q", topic), err)
	}
	if err := d.checkStream(config); err != nil {
		return nil, fmt.Errorf("%w: topic %q: stream %s %w", errUnusable, topic, config.Name, err)
	}
	if config.MaxAge == 0 || config.MaxAge > d.horizon {
		d.logger.Warn("the stream keeps messages for longer than redelivery_horizon says", "stream", config.Name,
			"max_age", config.MaxAge, "redelivery_horizon", d.horizon)
	}
	ref = &streamRef{
		name: config.Name, atomic: d.atomic && config.AllowAtomicPublish && !d.dedupe,
		maxMessage: max(int(config.MaxMsgSize), 0),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams[topic] = ref
	return ref, nil
}

// checkStream says what about a stream would break a promise.
func (d *driver) checkStream(c *jetstream.StreamConfig) error {
	switch {
	case c.Retention != jetstream.LimitsPolicy:
		return errors.New("must have retention limits: with another, a message is deleted before every group has had it")
	case c.NoAck:
		return errors.New("has no_ack, so that nobody learns whether a message was stored")
	case c.Storage == jetstream.MemoryStorage && d.created.Storage != jetstream.MemoryStorage:
		return errors.New("is in memory and ends with the server: say storage=memory if that is meant")
	case c.Mirror != nil:
		return errors.New("is a mirror of another one, which nobody can publish to")
	case c.Sealed:
		return errors.New("is sealed")
	}
	return nil
}

func (d *driver) findOrCreate(ctx context.Context, js jetstream.JetStream, topic string) (*jetstream.StreamConfig, error) {
	name, err := js.StreamNameBySubject(ctx, topic)
	switch {
	case err == nil && d.stream != "" && name != d.stream:
		return nil, fmt.Errorf("%w: it is held by stream %s already, not by that of parameter stream", errUnusable, name)
	case err == nil:
		return streamConfig(ctx, js, name)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	case !d.create:
		return nil, fmt.Errorf("%w: no stream holds it, and create is false", errUnusable)
	}
	wanted := d.created
	if wanted.Name = d.stream; wanted.Name == "" {
		wanted.Name, wanted.Subjects = streamName(topic), []string{topic}
	} else if !holds(wanted.Subjects, topic) {
		return nil, fmt.Errorf("%w: parameter subjects does not have it", errUnusable)
	}
	stream, err := js.CreateStream(ctx, wanted)
	switch {
	case err == nil:
		d.logger.Info("created stream", "stream", wanted.Name, "subjects", wanted.Subjects, "replicas", wanted.Replicas, "max_age", wanted.MaxAge)
		return &stream.CachedInfo().Config, nil
	case !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil, refused("create stream "+wanted.Name, err)
	}
	// Another process has just made it, or it is somebody else's. Its subjects
	// are left alone in any case: a server that is asked twice at once to add
	// one stores every message twice from then on.
	config, err := streamConfig(ctx, js, wanted.Name)
	if err == nil && !holds(config.Subjects, topic) {
		err = fmt.Errorf("%w: stream %s exists and does not hold it: add it to the stream's subjects, or give parameter stream",
			errUnusable, wanted.Name)
	}
	return config, err
}

func streamConfig(ctx context.Context, js jetstream.JetStream, name string) (*jetstream.StreamConfig, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return &stream.CachedInfo().Config, nil
}

// refused marks what the server has against a stream or a consumer as a
// person's to set right. An answer of another kind, or none, may be better
// the next time.
func refused(what string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code == 400 {
		return fmt.Errorf("%w: %s: %w", errUnusable, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// forget makes the next use of topic look for its stream again.
func (d *driver) forget(topic string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.streams, topic)
}
