package main

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The example that the guide explains: where it does not hold, the guide is wrong.
func TestTheExampleHolds(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, 21); err != nil {
		t.Fatal(err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got tally
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if !got.OK || got.Made != 18 || got.Withdrawn != 3 || got.Failed != 3 || got.Lost+got.Duplicated != 0 {
		t.Errorf("counted %+v", got)
	}
	if err := run(t.Context(), &out, 1); err == nil {
		t.Error("too few orders were taken")
	}
}
