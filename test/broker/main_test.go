// Package broker_test runs the brokers against real servers.
package broker_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/kafka"
)

// kafkaURL returns the URL of the real Kafka, with parameters added, or skips.
func kafkaURL(t testing.TB, params string) string {
	t.Helper()
	url := os.Getenv("KAFKA_URL")
	if url == "" {
		t.Skip("KAFKA_URL is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	if params == "" {
		return url
	}
	if strings.Contains(url, "?") {
		return url + "&" + params
	}
	return url + "?" + params
}

// unique returns a name that no other run uses.
func unique(prefix string) string {
	return prefix + "-" + strings.ToLower(rand.Text()[:12])
}

func openKafka(t testing.TB, params string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), kafkaURL(t, params), broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
