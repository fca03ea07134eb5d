package link

import (
	"context"
	"errors"
	"time"

	"github.com/sluicegate/sluicegate/internal/kafkatest"
)

// Kafka is a broker of the bench's own with two listeners: one behind a Proxy
// and a direct one.
type Kafka struct {
	Direct, Delayed string // URLs

	server *kafkatest.Server
	proxy  *Proxy
}

// StartKafka starts a broker whose delayed listener is advertised behind a
// proxy, and returns when it takes connections.
func StartKafka(ctx context.Context, delay time.Duration) (k *Kafka, err error) {
	k = &Kafka{}
	k.server, err = kafkatest.Start(ctx, kafkatest.Config{Advertise: func(listener string) (string, error) {
		var err error
		if k.proxy, err = NewProxy(listener, delay); err != nil {
			return "", err
		}
		return k.proxy.Addr(), nil
	}})
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	k.Direct, k.Delayed = "kafka://"+k.server.Addr, "kafka://"+k.server.Advertised
	return k, nil
}

// Close ends the broker and removes what it has stored.
func (k *Kafka) Close() error {
	var err error
	if k.server != nil {
		err = k.server.Close()
	}
	if k.proxy != nil {
		err = errors.Join(err, k.proxy.Close())
	}
	return err
}
