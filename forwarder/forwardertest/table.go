package forwardertest

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

var tableCases = []Case{
	{Name: "migrations may run twice and at the same time", Run: migrations},
	{Name: "the printed migrations are the ones that Migrate finds applied", Run: printed},
	{Name: "two prefixes in one database do not mix", Run: prefixes},
	{Name: "a relay without its tables says so", Run: noTables},
}

func migrations(tb testing.TB, h Harness) {
	d, err := sqldialect.Detect(h.DB)
	must(tb, err)
	prefix := randomPrefix()
	tb.Cleanup(func() { dropTables(tb, h.DB, d, sqldialect.Names{Prefix: prefix}) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			o, err := forwarder.New(h.DB, forwarder.Config{Prefix: prefix})
			if err == nil {
				err = o.Migrate(context.Background())
			}
			if err == nil {
				err = o.Migrate(context.Background())
			}
			if err != nil {
				tb.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	must(tb, schema.Check(context.Background(), h.DB, d, sqldialect.Names{Prefix: prefix}))
}

func printed(tb testing.TB, h Harness) {
	d, err := sqldialect.Detect(h.DB)
	must(tb, err)
	n := sqldialect.Names{Prefix: randomPrefix()}
	tb.Cleanup(func() { dropTables(tb, h.DB, d, n) })
	script, err := forwarder.MigrationSQL(d, "", n.Prefix)
	must(tb, err)
	for s := range strings.SplitSeq(script, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			_, err := h.DB.Exec(s)
			must(tb, err)
		}
	}
	applied, err := schema.Up(context.Background(), h.DB, d, n)
	must(tb, err)
	if applied != 0 {
		tb.Errorf("Migrate applied %d migrations after the printed ones", applied)
	}
}

func prefixes(tb testing.TB, h Harness) {
	one, two := open(tb, h), open(tb, h)
	first, second := &fakeBroker{}, &fakeBroker{}
	r1 := one.relay(newBatched(first), quick())
	r2 := two.relay(newBatched(second), quick())
	one.put("orders", keyed("one", 0))
	two.put("orders", keyed("two", 0))
	one.drained()
	two.drained()
	if len(first.deliveries()) != 1 || first.deliveries()[0].key != "one" ||
		len(second.deliveries()) != 1 || second.deliveries()[0].key != "two" {
		tb.Error("a message crossed over")
	}
	if r1.Stats().Shards != 32 || r2.Stats().Shards != 32 {
		tb.Errorf("the two share shards: %d and %d", r1.Stats().Shards, r2.Stats().Shards)
	}
}

func noTables(tb testing.TB, h Harness) {
	o, err := forwarder.New(h.DB, forwarder.Config{Prefix: randomPrefix()})
	must(tb, err)
	ctx, cancel := context.WithTimeout(context.Background(), h.patience())
	defer cancel()
	if err := o.Relay(ctx, newBatched(&fakeBroker{})); err == nil || ctx.Err() != nil {
		tb.Errorf("Relay on a database without tables: %v", err)
	}
}
