package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/sluicegate/sluicegate/bench/drain"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

// options are the flags and variables, checked before anything connects.
type options struct {
	mode, subject   string
	messages, runs  int
	payload         int
	json, profile   string
	postgres, kafka string
}

func parse(args []string, getenv func(string) string, usage io.Writer) (options, error) {
	o := options{postgres: getenv("POSTGRES_URL"), kafka: getenv("KAFKA_URL")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.mode, "mode", "full", "full, or quick for the main rows only")
	flags.StringVar(&o.subject, "subject", "", "only the subjects whose name contains this")
	flags.IntVar(&o.messages, "messages", 20_000, "messages in the outbox")
	flags.IntVar(&o.runs, "runs", 3, "counted runs of each subject")
	flags.IntVar(&o.payload, "payload", 256, "bytes of each payload")
	flags.StringVar(&o.json, "json", "latest.json", "file for the rows")
	flags.StringVar(&o.profile, "cpuprofile", "", "file for a CPU profile of the timed part of the last trial; choose one by --subject")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var problems []error
	check := func(ok bool, format string, values ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, values...))
		}
	}
	check(flags.NArg() == 0, "unexpected argument %q", flags.Arg(0))
	check(o.mode == "full" || o.mode == "quick", "--mode: %q is neither full nor quick", o.mode)
	check(o.messages > 0, "--messages: %d must be positive", o.messages)
	check(o.runs > 0, "--runs: %d must be positive", o.runs)
	check(o.payload >= drain.MinPayload, "--payload: %d is less than the %d bytes that carry what is checked", o.payload, drain.MinPayload)
	check(o.json != "", "--json: name a file")
	for name, value := range map[string]string{"POSTGRES_URL": o.postgres, "KAFKA_URL": o.kafka} {
		check(value != "", `%s is not set: eval "$(../scripts/services env)"`, name)
	}
	if o.postgres != "" {
		_, err := server.ParsePostgres(o.postgres)
		check(err == nil, "POSTGRES_URL: %w", err)
	}
	if o.kafka != "" {
		_, err := server.ParseKafka(o.kafka)
		check(err == nil, "KAFKA_URL: %w", err)
	}
	return o, errors.Join(problems...)
}

// choose keeps the cases that the flags ask for.
func (o options) choose(cases []work.Case) []work.Case {
	var out []work.Case
	for _, c := range cases {
		if (c.Main || o.mode == "full") && strings.Contains(c.Subject, o.subject) {
			out = append(out, c)
		}
	}
	return out
}
