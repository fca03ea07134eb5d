package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALoadEndsWithFiguresAndAnExactLedger(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "cpu.prof")
	stdout, stderr, code := demo(t, nil, "load", "--clients", "4", "--seconds", "1", "--output", "json", "--cpu-profile", profile)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var s struct {
		Clients          int                `json:"clients"`
		Orders           int                `json:"orders"`
		PlacedPerSecond  float64            `json:"placed_per_second"`
		AppliedPerSecond float64            `json:"applied_per_second"`
		Post             map[string]float64 `json:"post_ms"`
		Applied          map[string]int     `json:"applied"`
		Backlog          map[string]any     `json:"backlog"`
		Lost, Duplicated int
		Failed           int
	}
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if s.Clients != 4 || s.Orders < 10 || s.PlacedPerSecond <= 0 || s.AppliedPerSecond <= 0 || s.AppliedPerSecond > s.PlacedPerSecond*1.1 || s.Lost+s.Duplicated+s.Failed != 0 {
		t.Errorf("got %s", stdout)
	}
	if s.Post["p50"] <= 0 || s.Post["p50"] > s.Post["p95"] || s.Post["p95"] > s.Post["p99"] || s.Post["p99"] > s.Post["max"] {
		t.Errorf("percentiles are %v", s.Post)
	}
	for _, service := range []string{"payment", "stock", "points", "shipping"} {
		if s.Applied[service] != s.Orders {
			t.Errorf("%s applied %d of %d orders", service, s.Applied[service], s.Orders)
		}
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("there is no profile: %v", err)
	}
}

func TestALoadSaysWhatIsWrongWithItsFlags(t *testing.T) {
	_, stderr, code := demo(t, nil, "load", "--clients", "0", "--seconds", "1h", "--broker", "nat://h", "--orders", "3")
	for _, want := range []string{"--orders: there is no such flag"} {
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, %q is missing:\n%s", code, want, stderr)
		}
	}
	_, stderr, code = demo(t, nil, "load", "--clients", "0", "--seconds", "1h", "--broker", "nat://h")
	for _, want := range []string{"--clients: must be a whole number from 1", "--seconds: must be a whole number", "did you mean nats://"} {
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, %q is missing:\n%s", code, want, stderr)
		}
	}
}
