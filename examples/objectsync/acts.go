package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

func name(i int) string { return fmt.Sprintf("p%04d", i) }

// publish saves all products and their marks in one transaction, has a worker's process upload
// them, and kills it in the middle.
func (s *shop) publish(ctx context.Context, say func(string, ...any), products int, t *tally) error {
	say("%d products are published: rows and marks commit together", products)
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		ids := make([]string, products)
		for i := range ids {
			ids[i] = name(i)
			if err := save(ctx, tx, ids[i], "new", 1); err != nil {
				return err
			}
		}
		return s.pages.MarkBatch(ctx, tx, ids...)
	})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find program: %w", err)
	}
	worker := exec.CommandContext(ctx, self) //nolint:gosec // this program itself
	worker.Env = append(os.Environ(), workerVar+"="+s.dir)
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	waited := s.until(ctx, func(counts map[objectsync.Status]int64) bool { return counts[objectsync.Synced] >= int64(products/4) })
	err = worker.Process.Kill()
	_ = worker.Wait() // it was killed
	if err := errors.Join(waited, err); err != nil {
		return fmt.Errorf("kill worker: %w", err)
	}
	counts, err := s.pages.Counts(ctx)
	if err != nil {
		return err
	}
	t.Killed, t.LeftByKilled, t.Changes = 1, int(counts[objectsync.Pending]), products
	say("the worker was killed in the middle, %d products were left", t.LeftByKilled)
	return nil
}

// change has four clerks change products at once, and all of them one, while this process
// uploads what the killed one left. Half of the changes are told by messages, which come
// twice and in another order.
func (s *shop) change(ctx context.Context, say func(string, ...any), products int, t *tally) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	bus, err := broker.Open(ctx, "memory://shop", broker.Config{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	stack, err := sluicegate.New(s.db, sluicegate.Config{Consumer: "pages"})
	if err != nil {
		return err
	}
	err = stack.Handle(router, "pages", "products.changed", bus.Group("pages"),
		s.pages.Handler(func(m *message.Message) (string, error) { return string(m.Payload), nil }))
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- stack.Run(ctx, router) }()
	go func() { ended <- s.pages.Run(ctx) }()
	<-router.Running()

	say("four clerks change %d products and all of them one; messages come twice and in another order; uploads fail", products)
	told, err := s.clerks(ctx, products, t)
	if err == nil {
		err = s.announce(bus, told, t)
	}
	if err == nil {
		err = s.until(ctx, func(counts map[objectsync.Status]int64) bool { return counts[objectsync.Pending] == 0 })
	}
	stop()
	return errors.Join(err, <-ended, <-ended, bus.Close())
}

// clerks returns the products whose changes were not marked and are to be told by messages.
func (s *shop) clerks(ctx context.Context, products int, t *tally) (told []string, err error) {
	const clerks = 4
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	each := products / clerks
	for c := range clerks {
		wg.Go(func() {
			for i := range each {
				n := c*each + i
				id := name(n)
				if n%5 == 0 {
					id = name(0)
				}
				failed := s.inTx(ctx, func(tx *sql.Tx) error { return clerk(ctx, tx, s.pages, id, n) })
				mu.Lock()
				err = errors.Join(err, failed)
				if t.Changes++; !marked(n) {
					told = append(told, id)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return told, err
}

// clerk changes a product, or deletes it; every other change is marked at once.
func clerk(ctx context.Context, tx *sql.Tx, pages *objectsync.Syncer, id string, i int) (err error) {
	if i%23 == 22 {
		if _, err = tx.ExecContext(ctx, "DELETE FROM products WHERE id = ?", id); err != nil {
			err = fmt.Errorf("delete product: %w", err)
		}
	} else {
		err = save(ctx, tx, id, fmt.Sprintf("change %d", i), float64(i)/100)
	}
	if err != nil {
		return err
	}
	// The other half is told by messages; in a real shop they would leave through the outbox.
	if marked(i) {
		return pages.Mark(ctx, tx, id)
	}
	return nil
}

func marked(i int) bool { return i%2 == 0 }

// announce publishes a message for each change, twice, shuffled.
func (s *shop) announce(bus message.Publisher, told []string, t *tally) error {
	told = append(told, told...)
	s.random.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
	t.Messages = len(told)
	for _, id := range told {
		if err := bus.Publish("products.changed", message.NewMessage(watermill.NewUUID(), []byte(id))); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// refuse has a product that cannot become an object: it is not tried again, a person mends the row
// and repairs it.
func (s *shop) refuse(ctx context.Context, say func(string, ...any), _ int, t *tally) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error { return save(ctx, tx, "bad", "no such price", -1) })
	if err != nil {
		return err
	}
	results, err := s.pages.Sync(ctx, "bad")
	if err != nil {
		return err
	}
	if r := results[0]; r.Status == objectsync.Failed && r.Tries == 1 && errors.Is(r.Err, objectsync.ErrBody) {
		t.Refused++
	}
	say("a product was refused: %v", results[0].Err)
	err = s.inTx(ctx, func(tx *sql.Tx) error { return save(ctx, tx, "bad", "a price after all", 2) })
	if err != nil {
		return err
	}
	s.files.healthy.Store(true)
	if _, err := s.pages.Repair(ctx, objectsync.Repair{Entity: "bad", Actor: "ann", Note: "the price was a typing error"}); err != nil {
		return err
	}
	actions, err := s.pages.Actions(ctx, "bad", 0, 10)
	t.ByHand = len(actions)
	return err
}

// planted is how many files drift damages.
const planted = 4

// drift damages files and rows behind the Syncer's back.
func (s *shop) drift(ctx context.Context, say func(string, ...any), _ int, t *tally) error {
	ids, err := listProducts(ctx, s.db, "p", planted)
	if err != nil {
		return err
	}
	key := func(id string) string { return "products/" + id + ".json" }
	_, orphan := s.files.Put(ctx, key("orphan"), objectsync.Blob{Body: []byte("{}")})
	_, stale := s.files.Put(ctx, key(ids[1]), objectsync.Blob{Body: []byte(`{"id":"an old one"}`)})
	_, unmarked := s.db.ExecContext(ctx, "UPDATE products SET name = 'nobody marked it', version = version + 1 WHERE id = ?", ids[2])
	if err := errors.Join(orphan, stale, unmarked, s.files.Delete(ctx, key(ids[0]))); err != nil {
		return fmt.Errorf("damage files: %w", err)
	}
	dry, err := s.pages.Reconcile(ctx, objectsync.ReconcileConfig{DryRun: true, Grace: objectsync.NoGrace})
	if err != nil {
		return err
	}
	report, err := s.pages.Reconcile(ctx, objectsync.ReconcileConfig{Grace: objectsync.NoGrace})
	if err != nil {
		return err
	}
	say("Reconcile found %d missing, %d stale, %d orphaned, and repaired %d", report.Missing, report.Stale, report.Orphan, report.Repaired)
	t.Drift, t.Repaired = report.Drift(), report.Repaired
	if dry.Drift() != report.Drift() {
		return fmt.Errorf("a dry run found %d, and then there were %d", dry.Drift(), report.Drift())
	}
	return nil
}

// until waits for the records to be so.
func (s *shop) until(ctx context.Context, enough func(map[objectsync.Status]int64) bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		counts, err := s.pages.Counts(ctx)
		if err != nil || enough(counts) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not come to rest, %v: %w", counts, context.Cause(ctx))
		}
	}
}

// compare counts the rows, and the files that are not equal to theirs.
func (s *shop) compare(ctx context.Context) (rows, different int, err error) {
	page, err := s.files.List(ctx, objectsync.ListRequest{Prefix: "products/", Limit: 10_000})
	if err != nil {
		return 0, 0, err
	}
	ids, err := listProducts(ctx, s.db, "", 10_000)
	if err != nil {
		return 0, 0, err
	}
	different = max(0, len(page.Items)-len(ids))
	for _, id := range ids {
		o, err := loadProduct(ctx, s.db, id)
		if err != nil {
			return 0, 0, err
		}
		want, err := json.Marshal(o.Body)
		if err != nil {
			return 0, 0, fmt.Errorf("encode product: %w", err)
		}
		got, _, err := s.files.Get(ctx, "products/"+id+".json")
		if err != nil && !errors.Is(err, objectsync.ErrNotFound) {
			return 0, 0, err
		}
		if err != nil || !bytes.Equal(got.Body, want) {
			different++
		}
	}
	return len(ids), different, nil
}
