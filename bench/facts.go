package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
)

// factsTimeout bounds what the servers are asked about themselves.
const factsTimeout = 20 * time.Second

// facts returns what a figure cannot be judged without.
func facts(ctx context.Context, e env.Env, o options) []string {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	line := func(name string, values ...string) string {
		return fmt.Sprintf("%-11s %s", name+":", strings.Join(values, ", "))
	}
	out := []string{
		line("date", time.Now().UTC().Format("2006-01-02 15:04 UTC")),
		line("machine", server.Machine()...),
		line("load", server.Load()+" at the start (1, 5, 15 min)"),
	}
	for _, s := range []struct {
		name, variable string
		settings       func(ctx context.Context, url string) ([]string, error)
	}{
		{"PostgreSQL", "POSTGRES_URL", server.PostgresSettings},
		{"MariaDB", "MYSQL_URL", server.MariaDBSettings},
		{"Kafka", "KAFKA_URL", server.KafkaSettings},
	} {
		url, err := e.URL(s.variable)
		if err == nil {
			var values []string
			if values, err = s.settings(ctx, url); err == nil {
				out = append(out, line(s.name, values...))
				continue
			}
		}
		out = append(out, line(s.name, report.Short(err)))
	}
	return append(out, line("work", fmt.Sprintf("payload %d bytes", o.payload), "3 headers", "1000 keys", fmt.Sprintf("scale %v", o.amount()), fmt.Sprintf("%d runs taking turns after a warm-up", o.runs)))
}

func ended(begun time.Time) string {
	return fmt.Sprintf("%-11s %v; load %s at the end", "took:", time.Since(begun).Round(time.Second), server.Load())
}
