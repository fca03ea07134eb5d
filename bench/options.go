package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/workload"
)

// variables name the servers, each with what checks its URL.
var variables = []struct {
	name  string
	check func(url string) error
}{
	{"POSTGRES_URL", func(url string) error { _, err := server.ParsePostgres(url); return err }},
	{"MYSQL_URL", func(url string) error { _, err := server.ParseMariaDB(url); return err }},
	{"KAFKA_URL", func(url string) error { _, err := server.ParseKafka(url); return err }},
	{"REDIS_URL", func(url string) error { return server.CheckURL(url, "redis", "rediss") }},
	{"NATS_URL", func(url string) error { return server.CheckURL(url, "nats") }},
	{"AMQP_URL", func(url string) error { return server.CheckURL(url, "amqp", "amqps") }},
}

// options are the flags and variables, checked before anything connects.
type options struct {
	mode, only, subject string
	runs, payload       int
	scale               float64
	limit               time.Duration
	json, docs, profile string
	urls                map[string]string
}

// The limits of the two modes, in which what has not begun is left out.
const (
	fullLimit  = 30 * time.Minute
	quickLimit = 6 * time.Minute
)

func parse(args []string, getenv func(string) string, usage io.Writer) (options, error) {
	o := options{urls: map[string]string{}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.mode, "mode", "full", "full, or quick for the main rows only")
	flags.StringVar(&o.only, "only", "", "only these sections, separated by commas: "+strings.Join(names(sections), ", "))
	flags.StringVar(&o.subject, "subject", "", "only the subjects whose name contains this")
	flags.IntVar(&o.runs, "runs", 3, "counted runs of each subject")
	flags.Float64Var(&o.scale, "scale", 1, "amounts of work; 0.05 shows in little time that everything runs")
	flags.IntVar(&o.payload, "payload", 256, "bytes of each payload")
	flags.DurationVar(&o.limit, "limit", 0, "sections that have not begun by then are left out (default 30m, quick 6m)")
	flags.StringVar(&o.json, "json", "latest.json", "file for the rows")
	flags.StringVar(&o.docs, "docs", "", "folder with benchmarks.md, whose results are replaced, and bench/ for the plots; only in full mode")
	flags.StringVar(&o.profile, "cpuprofile", "", "file for a CPU profile of the last relay; choose it by --only and --subject")
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
	check(o.runs > 0, "--runs: %d must be positive", o.runs)
	check(o.scale > 0 && o.scale <= 10, "--scale: %v must be above 0 and at most 10", o.scale)
	check(o.payload >= workload.MinPayload, "--payload: %d is less than the %d bytes that carry what is checked", o.payload, workload.MinPayload)
	check(o.json != "", "--json: name a file")
	check(o.limit >= 0, "--limit: %v is negative", o.limit)
	for _, name := range o.onlyNames() {
		check(slices.Contains(names(sections), name), "--only: no section %q; there are %s", name, strings.Join(names(sections), ", "))
	}
	for _, v := range variables {
		url := getenv(v.name)
		if url == "" {
			continue
		}
		o.urls[v.name] = url
		err := v.check(url)
		check(err == nil, "%s: %w", v.name, err)
	}
	if o.mode == "quick" {
		o.limit = cmp.Or(o.limit, quickLimit)
	}
	o.limit = cmp.Or(o.limit, fullLimit)
	return o, errors.Join(problems...)
}

func (o options) onlyNames() []string {
	if o.only == "" {
		return nil
	}
	return strings.Split(o.only, ",")
}

// choose keeps the sections that the flags ask for.
func (o options) choose(all []env.Section) []env.Section {
	only := o.onlyNames()
	var out []env.Section
	for _, s := range all {
		if (len(only) == 0 && (s.Quick || o.mode == "full") && !s.Apart) || slices.Contains(only, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// quickScale is what the quick mode does of each amount of work.
const quickScale = 0.5

// amount returns the scale of the works.
func (o options) amount() float64 {
	if o.mode == "quick" {
		return o.scale * quickScale
	}
	return o.scale
}

// publishes says whether this run is one whose results belong into the docs.
func (o options) publishes() bool {
	return o.docs != "" && o.mode == "full" && o.only == "" && o.subject == ""
}

func names(all []env.Section) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.Name
	}
	return out
}
