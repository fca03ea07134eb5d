// Package command is the command line of the demo.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/internal/suggest"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is one that the person at the keyboard can put right.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// Main runs the command line args and returns the exit code: 0 for success, 1
// for failure, 2 for what was asked in a wrong way.
func Main(args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return Run(ctx, args, env, stdout, stderr)
}

// Run is Main without the signals: ctx ends what runs.
func Run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	root := newRoot(program{env: env, stdout: stdout, stderr: stderr}, args) //nolint:contextcheck // cobra carries it
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "demo: this cannot be run as it was asked for:\n")
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(stderr, "  %s\n", line)
		}
		fmt.Fprintf(stderr, "demo --help tells what there is\n")
		return exitUsage
	default:
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return exitFailure
	}
}

// program is what the commands work with.
type program struct {
	env            func(string) (string, bool)
	stdout, stderr io.Writer
}

// text is a flag whose value is checked later, together with all others.
type text struct {
	value, kind string
}

func (t *text) String() string     { return t.value }
func (t *text) Set(v string) error { t.value = v; return nil }
func (t *text) Type() string       { return t.kind }

func flag(f *pflag.FlagSet, name, kind, fallback, usage string) {
	f.Var(&text{kind: kind, value: fallback}, name, usage)
}

func newRoot(p program, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "demo",
		Short:         "A shop under injected faults, checked by a ledger",
		Long:          runHelp,
		Args:          noWords,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagError(c, args, err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	common(root.Flags())
	f := root.Flags()
	flag(f, "orders", "N", "200", "how many orders to place")
	flag(f, "seed", "N", "1", "of the faults: the same seed breaks the same orders")
	flag(f, "output", "FORM", "text", "text, or json: one object as the last line of standard output")
	flag(f, "deadline", "DURATION", "2m", "how long the run may take; what is missing then counts as lost")
	flag(f, "log-level", "LEVEL", "error", "debug, info, warn or error")

	serve := &cobra.Command{
		Use: "serve", Short: "Run the shop, or a part of it, until it is stopped", Long: serveHelp,
		Args: noWords,
		RunE: func(c *cobra.Command, _ []string) error { return p.serve(c) },
	}
	common(serve.Flags())
	f = serve.Flags()
	flag(f, "listen", "HOST:PORT", "127.0.0.1:8080", "where the HTTP server listens; without the role api only if it is given")
	flag(f, "insecure-listen", "", "false", "allow --listen on an address that other machines reach: nobody is asked who they are")
	f.Lookup("insecure-listen").NoOptDefVal = "true"
	flag(f, "roles", "LIST", "api,relay,payment,stock,points,shipping", "the parts of the shop that this process runs")
	flag(f, "objects", "FOLDER", "", "where the products' pages are kept, by the role api; default a temporary folder")
	flag(f, "topic-suffix", "TEXT", "", "ends the names of topics and consumer groups: shops that share a broker and no database must differ in it")
	flag(f, "drain-timeout", "DURATION", "10s", "how long handlers at work may go on after SIGTERM")
	flag(f, "log-level", "LEVEL", "info", "debug, info, warn or error")
	root.AddCommand(serve, p.loadCommand())
	return root
}

func common(f *pflag.FlagSet) {
	flag(f, "database", "URL", "", "postgres://, mysql://, mariadb:// or sqlite:///file.db; default SQLite in a temporary folder [SLUICEGATE_DATABASE_URL]")
	flag(f, "broker", "URL", "memory://", "memory://, or kafka://, redis://, nats://, amqp://, postgres://, mysql:// or sqlite:// as broker.Open takes it [SLUICEGATE_BROKER_URL]")
	flag(f, "idempotency", "URL", "", "redis://host:6379/0 or memory://; default the handler's own transaction (strength sql) [SLUICEGATE_IDEMPOTENCY_URL]")
	flag(f, "config", "FILE", "", "YAML file with these settings, written with _ for -")
}

// gather gathers the settings; its error is one of usage.
func (p program) gather(c *cobra.Command, cmd settings.Command) (settings.Settings, error) {
	in := settings.Input{Command: cmd, Flags: map[string]string{}, Env: p.env}
	c.Flags().Visit(func(f *pflag.Flag) { in.Flags[f.Name] = f.Value.String() })
	if file, ok := in.Flags["config"]; ok {
		if file == "" {
			return settings.Settings{}, usageError{errors.New("--config: is empty: name a YAML file or leave it out")}
		}
		in.File = file
	}
	s, err := settings.Load(in)
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}

// noWords refuses arguments, which are mostly commands with an error in them.
func noWords(c *cobra.Command, args []string) error {
	var errs []error
	for _, a := range args {
		known := []string{"help"}
		for _, sub := range c.Commands() {
			known = append(known, sub.Name())
		}
		errs = append(errs, fmt.Errorf("%q: there is no such command: %s", a, suggest.Hint(a, known...)))
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// flagError tells of all unknown flags, where the parser stops at the first.
func flagError(c *cobra.Command, args []string, err error) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	var errs []error
	for _, a := range args {
		name, _, _ := strings.Cut(a, "=")
		if a == "--" {
			break
		}
		if strings.HasPrefix(name, "--") && c.Flags().Lookup(name[2:]) == nil {
			errs = append(errs, fmt.Errorf("%s: there is no such flag: %s", name, suggest.Hint(name, names...)))
		}
	}
	if len(errs) == 0 {
		errs = append(errs, err)
	}
	return usageError{errors.Join(errs...)}
}
