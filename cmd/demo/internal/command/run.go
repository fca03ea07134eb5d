package command

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/campaign"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/progress"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
)

const runHelp = `Starts a shop, places orders through its own HTTP API while it breaks things on
purpose (the broker is away or refuses, handlers fail or panic, also after they
have written, acks and confirmations are lost, some orders can never be handled;
customers click twice or lose their connection, the merchant whom payment tells is
away, the courier whom shipping asks calls back too early, twice, too late or never,
uploads of the products' pages fail), and ends with the ledger. It exits with 0 only
if nothing is lost, duplicated or made up, and merchant, courier and pages agree with
the database.

Without flags it needs nothing installed: SQLite in a temporary folder, the
broker in memory, the dedup record in the handler's transaction.

On servers, a run keeps to itself: its topics, consumer groups, inbox records and
order ids bear its name, and its ledger counts its own orders only. It makes the
tables orders, ledger, parcels, products and sluicegate_* where they are missing, and leaves what it
wrote in them to be looked at. The relays of all who use the database share the
outbox, so they must use the same broker. Topics stay behind on Kafka, and
records in Redis until they expire.

Flags win over the environment, the environment over the file, the file over the
defaults. In the file, database_file, broker_file and idempotency_file name a file
that holds the URL, and ${VAR} or ${VAR:default} a variable; cmd/demo/demo.example.yaml
has all of it.

Exit codes: 0 success, 1 failure or a ledger that is wrong, 2 a mistake in what
was asked for; then all mistakes are told, and nothing was connected.`

// errLedger ends a run whose ledger is wrong; the ledger itself was shown.
var errLedger = errors.New("the ledger is wrong")

func (p program) run(c *cobra.Command) error {
	s, err := p.gather(c, settings.Run)
	if err != nil {
		return err
	}
	display := progress.New(p.stderr, p.env)
	logger := slog.New(slog.NewTextHandler(display, &slog.HandlerOptions{Level: s.LogLevel}))
	summary, err := campaign.Run(c.Context(), s, display, logger)
	if err != nil {
		return err
	}
	return p.report(s, summary)
}
