// Command bench runs our relay and its peers side by side on real servers and
// prints one table. It is a program and not a set of timed tests, because what
// is compared must take turns within one run. docs/benchmarks.md says what is
// measured and how.
//
//	eval "$(../scripts/services env)" && go run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sluicegate/sluicegate/bench/child"
)

// gcPercent is Go's GOGC in every process, ours and theirs alike, unless the
// variable says otherwise: what moves many small messages and keeps none has a
// heap of a few MB, and with Go's default, 100, spends a third of its time
// collecting it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var code int
	if len(os.Args) > 1 && os.Args[1] == child.Command {
		code = child.Serve(ctx, jobs, os.Args[2:], os.Stdin, os.Stdout, os.Stderr)
	} else {
		code = program(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(code)
}

// program returns the exit code: 2 for what is wrong before anything runs, 1
// for a failure. A row without a figure is no failure of the program, and
// neither is a bar that is not met.
func program(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, os.Getenv, stderr)
	code := 2
	if err == nil {
		err, code = run(ctx, o, stdout, stderr), 1
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return code
}
