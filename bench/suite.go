package main

import (
	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/consuming"
	"github.com/sluicegate/sluicegate/bench/contender"
	"github.com/sluicegate/sluicegate/bench/drain"
	"github.com/sluicegate/sluicegate/bench/embedded"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/latency"
	"github.com/sluicegate/sluicegate/bench/serving"
)

// sections is the order of the report.
var sections = []env.Section{
	{Name: "kafka", Quick: true, Run: drain.Kafka},
	{Name: "backlog", Run: drain.Backlog},
	{Name: "takeover", Run: drain.Takeover},
	{Name: "link", Run: drain.Link},
	{Name: "mariadb", Run: drain.MariaDB},
	{Name: "sqlite", Quick: true, Run: embedded.Run},
	{Name: "redis", Quick: true, Run: drain.Redis},
	{Name: "nats", Quick: true, Run: drain.NATS},
	{Name: "amqp", Quick: true, Run: drain.AMQP},
	{Name: "latency", Quick: true, Run: latency.Run},
	{Name: "commits", Run: latency.Commits},
	{Name: "consume", Run: consuming.Kafka},
	{Name: "chain", Run: consuming.Memory},
	{Name: "claims", Run: consuming.Redis},
	{Name: "inbox", Run: consuming.SQL},
	{Name: "http", Run: serving.HTTP},
	{Name: "retention", Apart: true, Run: latency.Retention},
}

// jobs are what a child process can be started for.
var jobs = map[string]child.Job{
	contender.Job: contender.New,
	embedded.Job:  embedded.New,
}
