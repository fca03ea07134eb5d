package consume_test

import (
	"cmp"
	"os"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/bench/consume"
)

// TestEverySubjectHandlesAndKeepsTheOrderOfKeys is a quick run. With -cpuprofile
// and CONSUME_ONLY it shows where the time of one subject goes.
func TestEverySubjectHandlesAndKeepsTheOrderOfKeys(t *testing.T) {
	url := os.Getenv("KAFKA_URL")
	if url == "" {
		t.Skip("KAFKA_URL is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	o := consume.Options{
		KafkaURL: url, Messages: 20_000, Limit: time.Second, Rounds: 1,
		Only: os.Getenv("CONSUME_ONLY"), Params: os.Getenv("CONSUME_PARAMS"),
		Progress: func(work, subject string, round int, f consume.Figure) {
			t.Logf("%s, %s, round %d: %.0f/s, %s of CPU a message", work, subject, round, f.PerSecond, f.CPU)
		},
	}
	if d, err := time.ParseDuration(cmp.Or(os.Getenv("CONSUME_HANDLER"), "none")); err == nil {
		o.Handlers, o.Messages, o.Limit = []time.Duration{d}, 1_000_000, 5*time.Second
	}
	rows, err := consume.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		t.Logf("%s, %s: %.0f/s, %.1f x stock", r.Work, r.Subject, r.PerSecond, r.Ratio)
		if r.PerSecond <= 0 {
			t.Errorf("%s, %s handled nothing", r.Work, r.Subject)
		}
	}
}
