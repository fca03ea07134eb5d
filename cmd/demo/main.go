// Command demo is a shop that shows every guarantee at work: it breaks things
// on purpose and checks the ledger. See demo --help.
package main

import (
	"os"
	"runtime/debug"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/command"
)

// gcPercent takes the place of Go's default for GOGC: a program that moves many
// small messages and keeps none has a heap of a few MB, and would spend a third
// of its time collecting it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(command.Main(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}
