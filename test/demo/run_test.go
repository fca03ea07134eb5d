package demo_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

type summary struct {
	Orders           int            `json:"orders"`
	Applied          map[string]int `json:"applied"`
	Lost             int            `json:"lost"`
	Duplicated       int            `json:"duplicated"`
	Redelivered      int            `json:"redelivered"`
	Deduplicated     int            `json:"deduplicated"`
	Retried          int            `json:"retried"`
	Parked           int            `json:"parked"`
	DeadLettered     int            `json:"dead_lettered"`
	AlertsSent       int            `json:"alerts_sent"`
	AlertsSuppressed int            `json:"alerts_suppressed"`
	ElapsedSeconds   float64        `json:"elapsed_seconds"`
	HTTPReplayed     int            `json:"http_replayed"`
	HTTPConflicts    int            `json:"http_conflicts"`
	MerchantTold     int            `json:"merchant_told"`
	MerchantMissed   int            `json:"merchant_missed"`
	Mismatched       int            `json:"mismatched"`
	CallsEnded       int            `json:"calls_ended"`
	PagesEqual       int            `json:"pages_equal"`
	UploadsFailed    int            `json:"uploads_failed"`
}

var fields = []string{"orders", "applied", "lost", "duplicated", "redelivered", "deduplicated", "retried", "parked",
	"dead_lettered", "alerts_sent", "alerts_suppressed", "elapsed_seconds", "http_replayed", "http_conflicts",
	"merchant_told", "merchant_posts", "merchant_missed", "merchant_asked", "mismatched",
	"calls_ended", "calls_sent", "callbacks_applied", "callbacks_parked", "callbacks_late", "callbacks_forged",
	"pages_equal", "price_changes", "uploads", "uploads_failed"}

func TestTheLedgerIsExactOnRealServers(t *testing.T) {
	for _, c := range []struct{ name, database, idempotency string }{
		{"PostgreSQL, Kafka, sql", "POSTGRES_URL", ""},
		{"PostgreSQL, Kafka, Redis", "POSTGRES_URL", "REDIS_URL"},
		{"MariaDB, Kafka, sql", "MYSQL_URL", ""},
		{"MariaDB, Kafka, Redis", "MYSQL_URL", "REDIS_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--orders", "300", "--seed", "7", "--output", "json", "--deadline", "110s",
				"--database", freshDatabase(t, server(t, c.database)), "--broker", server(t, "KAFKA_URL")}
			if c.idempotency != "" {
				args = append(args, "--idempotency", server(t, c.idempotency))
			}
			stdout, stderr, code := demo(t, args...)
			if code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
			}
			checkSummary(t, stdout)
		})
	}
}

func checkSummary(t *testing.T, stdout string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := lines[len(lines)-1]
	var all map[string]any
	var s summary
	if err := json.Unmarshal([]byte(last), &all); err != nil {
		t.Fatalf("last line %q: %v", last, err)
	}
	if err := json.Unmarshal([]byte(last), &s); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if !slices.Contains(fields, name) {
			t.Errorf("field %q is not in the contract", name)
		}
	}
	for _, name := range fields {
		if _, ok := all[name]; !ok {
			t.Errorf("field %q is missing", name)
		}
	}
	applied := 0
	for _, n := range s.Applied {
		applied += n
	}
	if s.Orders != 300 || s.Lost != 0 || s.Duplicated != 0 || applied < 4*300-4*s.DeadLettered || len(s.Applied) != 4 {
		t.Errorf("ledger is %s", last)
	}
	if s.Redelivered == 0 || s.Deduplicated == 0 || s.Retried == 0 || s.Parked == 0 || s.DeadLettered == 0 || s.AlertsSent == 0 || s.AlertsSuppressed == 0 ||
		s.HTTPReplayed == 0 || s.MerchantMissed == 0 || s.Mismatched != 0 || s.MerchantTold != s.Applied["payment"] || s.CallsEnded != s.Applied["shipping"] ||
		s.PagesEqual == 0 || s.UploadsFailed == 0 {
		t.Errorf("faults that did not strike: %s", last)
	}
	t.Log(last)
}
