package main

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheExampleHolds(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, 90, 7); err != nil {
		t.Fatal(err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got tally
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if !got.OK || got.Orders != 120 || got.Mismatches != 90 || got.Lost+got.Duplicated+got.Leaked+got.Overlapped != 0 {
		t.Errorf("counted %+v", got)
	}
	if err := run(t.Context(), &out, 1, 1); err == nil {
		t.Error("too few orders were taken")
	}
}
