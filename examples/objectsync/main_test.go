package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerVar); dir != "" { // the example starts itself
		if err := work(context.Background(), dir); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestTheExampleHolds(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, 100, 7); err != nil {
		t.Fatal(err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var got tally
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if !got.OK || got.Different != 0 || got.Killed != 1 || got.Repaired != planted || got.Messages == 0 {
		t.Errorf("counted %+v", got)
	}
	if err := run(t.Context(), &out, 1, 1); err == nil {
		t.Error("too few products were taken")
	}
}
