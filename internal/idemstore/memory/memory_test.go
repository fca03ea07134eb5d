package memory_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/memory"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
)

type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1_800_000_000, c.offset.Load()) }

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func TestTheMemoryStoreConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(*testing.T) storetest.Fixture {
			c := &clock{}
			return storetest.Fixture{Store: memory.New(memory.Config{Now: c.now}), Other: memory.New(memory.Config{Now: c.now}), Advance: c.advance}
		},
		Lacks: []storetest.Feature{storetest.Outage},
	})
}

func TestMemoryIsBoundedByWhatHasNotExpired(t *testing.T) {
	c := &clock{}
	s := memory.New(memory.Config{Now: c.now})
	ctx := context.Background()
	for i := range 20_000 {
		c.advance(time.Millisecond)
		k := idemstore.Key{Handler: "h", ID: fmt.Sprint(i)}
		cl := idemstore.Claim{Key: k, Token: "t", Lease: time.Second, Retention: time.Hour}
		if _, err := s.Claim(ctx, cl); err != nil {
			t.Fatal(err)
		}
		if err := s.Extend(ctx, k, "t", 2*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := s.Complete(ctx, k, "t", nil, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	// The first claims asked for an hour, and their records ended long before.
	c.advance(2 * time.Hour)
	for i := range 10_000 {
		c.advance(time.Millisecond)
		k := idemstore.Key{Handler: "h", ID: fmt.Sprint("later", i)}
		if _, err := s.Claim(ctx, idemstore.Claim{Key: k, Token: "t", Lease: 50 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Len(); n > 100 {
		t.Fatalf("%d records are held, want about the 50 that are alive", n)
	}
	// Records that live on stand in nobody's way.
	for i := range 10 {
		k := idemstore.Key{Handler: "h", ID: fmt.Sprint("extended", i)}
		if _, err := s.Claim(ctx, idemstore.Claim{Key: k, Token: "t", Lease: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if err := s.Extend(ctx, k, "t", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 {
		c.advance(time.Millisecond)
		k := idemstore.Key{Handler: "h", ID: fmt.Sprint("last", i)}
		if _, err := s.Claim(ctx, idemstore.Claim{Key: k, Token: "t", Lease: 50 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Len(); n > 110 {
		t.Fatalf("%d records are held, want about the 60 that are alive", n)
	}
}

func BenchmarkClaimAndComplete(b *testing.B) {
	s := memory.New(memory.Config{})
	ctx := context.Background()
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%d", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		k := idemstore.Key{Handler: "h", ID: keys[i%len(keys)]}
		i++
		if _, err := s.Claim(ctx, idemstore.Claim{Key: k, Token: "t", Lease: time.Minute, Retention: time.Millisecond}); err != nil {
			b.Fatal(err)
		}
		_ = s.Complete(ctx, k, "t", nil, time.Millisecond)
	}
}
