# Sluicegate: `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The race detector needs a C compiler; without one the tests run all the same.
# modernc.org/sqlite is C translated to Go: watching each of its memory accesses
# makes the tests ten times slower and finds nothing of ours.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo "-race -gcflags=modernc.org/...=-race=false")
BENCH ?= full

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## compile everything
	go build ./...

.PHONY: demo
demo: ## run the shop with injected faults; nothing needs to be installed
	go run ./cmd/demo

.PHONY: test
test: ## unit tests: no server needed, race detector where a C compiler is there, shuffled
	go test $(RACE) -shuffle=on -timeout 10m ./...

.PHONY: integration
integration: ## conformance suites, traps and the demo against real servers, which it starts
	scripts/services up
	eval "$$(scripts/services env)" && cd test && go test $(RACE) -shuffle=on -count=1 -p 1 -timeout 30m ./...
	eval "$$(scripts/services env)" && cd test && go test -count=1 -run "StockNATS(Subscriber|Delay)" ./broker # it races with itself

.PHONY: lint
lint: ## format, vet, golangci-lint with the import directions, what each middleware compiles
	scripts/lint

.PHONY: bench
bench: ## ours and its peers side by side in one run, against real servers; writes docs/benchmarks.md (BENCH=quick: the main rows only)
	scripts/services up
	eval "$$(scripts/services env)" && cd bench && go run . --mode $(BENCH) --docs ../docs

.PHONY: services
services: ## start PostgreSQL, MariaDB, Redis, Kafka, NATS and RabbitMQ on loopback ports
	scripts/services up

.PHONY: services-down
services-down: ## stop what `make services` started
	scripts/services down

.PHONY: tidy
tidy: ## tidy the three modules
	go mod tidy
	cd test && go mod tidy
	cd bench && go mod tidy
