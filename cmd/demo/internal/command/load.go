package command

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/load"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/progress"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
)

const loadHelp = `Starts a shop with all its roles in this process, has clients place orders through
its HTTP API as fast as it answers, waits until all of them are handled, and ends
with figures and the ledger. Nothing is broken on purpose. It exits with 0 only if
nothing is lost, duplicated or made up.

The services handle many messages in one transaction each. On PostgreSQL an order
and its message reach the database in one round trip.

Like a run, a load keeps to itself on servers and leaves its orders there.`

func (p program) loadCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "load", Short: "Place orders as fast as the shop takes them, and measure", Long: loadHelp,
		Args: noWords,
		RunE: func(c *cobra.Command, _ []string) error { return p.load(c) },
	}
	common(c.Flags())
	f := c.Flags()
	flag(f, "clients", "N", "64", "how many clients place orders, each on a connection of its own")
	flag(f, "seconds", "N", "60", "for how long they do")
	flag(f, "deadline", "DURATION", "2m", "how long the backlog may take after that; what is missing then counts as lost")
	flag(f, "seed", "N", "1", "of the orders")
	flag(f, "output", "FORM", "text", "text, or json: one object as the last line of standard output")
	flag(f, "cpu-profile", "FILE", "", "write a CPU profile of the load, for go tool pprof")
	flag(f, "log-level", "LEVEL", "error", "debug, info, warn or error")
	return c
}

func (p program) load(c *cobra.Command) error {
	s, err := p.gather(c, settings.Strain)
	if err != nil {
		return err
	}
	display := progress.New(p.stderr, p.env)
	logger := slog.New(slog.NewTextHandler(display, &slog.HandlerOptions{Level: s.LogLevel}))
	summary, err := load.Run(c.Context(), s, display, logger)
	if err != nil {
		return err
	}
	return p.report(s, summary)
}

// summary is what a run and a load end with.
type summary interface {
	Exact() bool
	Problems() []string
	WriteJSON(w io.Writer) error
	WriteText(w io.Writer) error
}

// report writes the summary; its error says that the ledger is wrong.
func (p program) report(s settings.Settings, sum summary) error {
	for _, problem := range sum.Problems() {
		fmt.Fprintf(p.stderr, "demo: %s\n", problem)
	}
	write := sum.WriteText
	if s.Output == settings.JSON {
		write = sum.WriteJSON
	}
	if err := write(p.stdout); err != nil {
		return err
	}
	if !sum.Exact() {
		return errLedger
	}
	return nil
}
