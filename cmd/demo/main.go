// Command demo is a shop that shows every guarantee at work: it breaks things
// on purpose and checks the ledger. See demo --help.
package main

import (
	"os"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/command"
)

func main() {
	os.Exit(command.Main(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}
