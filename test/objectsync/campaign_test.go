package objectsync_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

const (
	entities = 1000
	hot      = "hot" // which everybody updates
)

// campaign is one database, one bucket, and what is done to them.
type campaign struct {
	t       *testing.T
	db      *database
	s3      *s3
	store   objectsync.Store
	syncer  *objectsync.Syncer
	handle  func(ctx context.Context, tx *sql.Tx, msg *message.Message) error
	version atomic.Int64 // grows for ever, also across deletions
	seed    uint64

	mu       sync.Mutex
	messages []string // marks that come as messages, late and in another order
}

func newCampaign(t *testing.T, db *database) *campaign {
	t.Helper()
	c := &campaign{t: t, db: db, s3: startS3(t), seed: uint64(time.Now().UnixNano())}
	t.Logf("seed %d", c.seed)
	var err error
	c.store, err = bucketAt(c.s3.URL, false)
	must(t, err)
	c.syncer, err = db.syncer(c.store)
	must(t, err)
	c.handle = c.syncer.Handler(func(m *message.Message) (string, error) { return string(m.Payload), nil })
	return c
}

// inTx commits fn, again where the database lets another transaction go first.
func (c *campaign) inTx(fn func(tx *sql.Tx) error) {
	for n := 0; ; n++ {
		err := c.once(fn)
		if err == nil {
			return
		}
		if n == 50 {
			c.t.Errorf("a transaction does not get through: %v", err)
			return
		}
	}
}

func (c *campaign) once(fn func(tx *sql.Tx) error) error {
	tx, err := c.db.BeginTx(context.Background(), c.db.dialect.TxOptions())
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// change writes or deletes a row. Its mark is in the same transaction, or comes as a
// message later, as those of other services do.
func (c *campaign) change(r *rand.Rand, id string) {
	deleted, byMessage := r.IntN(20) == 0, r.IntN(3) == 0
	c.inTx(func(tx *sql.Tx) error {
		ctx := context.Background()
		if _, err := tx.ExecContext(ctx, c.db.dialect.Bind("DELETE FROM "+c.db.table+" WHERE id = ?"), id); err != nil {
			return err
		}
		if !deleted {
			_, err := tx.ExecContext(ctx, c.db.dialect.Bind("INSERT INTO "+c.db.table+" (id, name, version) VALUES (?, ?, ?)"),
				id, fmt.Sprintf("name %d", r.IntN(1000)), c.version.Add(1))
			if err != nil {
				return err
			}
		}
		if byMessage {
			return nil
		}
		return c.syncer.Mark(ctx, tx, id)
	})
	if byMessage {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.messages = append(c.messages, id, id)
	}
}

// deliver handles the messages so far, twice each, shuffled.
func (c *campaign) deliver(r *rand.Rand) {
	c.mu.Lock()
	batch := c.messages
	c.messages = nil
	c.mu.Unlock()
	r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	for _, id := range batch {
		c.inTx(func(tx *sql.Tx) error { return c.handle(context.Background(), tx, message.NewMessage("x", []byte(id))) })
	}
}

// write lets four writers change so many rows each, beside each other.
func (c *campaign) write(changes int) {
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(c.seed, w))
			for i := range changes {
				id := fmt.Sprintf("p%04d", r.IntN(entities))
				if i%10 == 0 {
					id = hot
				}
				c.change(r, id)
				if i%25 == 24 {
					c.deliver(r)
				}
			}
			c.deliver(r)
		})
	}
	wg.Wait()
	c.deliver(rand.New(rand.NewPCG(c.seed, 9)))
}

// settled waits until nothing is pending.
func (c *campaign) settled() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		counts, err := c.syncer.Counts(ctx)
		must(c.t, err)
		if counts[objectsync.Pending] == 0 && counts[objectsync.Failed] == 0 {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			c.t.Fatalf("it does not come to rest: %v", counts)
		}
	}
}

func (c *campaign) equal() {
	c.t.Helper()
	diff, err := c.db.difference(c.t.Context(), c.store)
	if must(c.t, err); diff != "" {
		c.t.Error(diff)
	}
}

// seedRows makes the rows, with their marks.
func (c *campaign) seedRows() {
	ids := []string{hot}
	for i := range entities - 1 {
		ids = append(ids, fmt.Sprintf("p%04d", i))
	}
	for _, id := range ids {
		c.db.exec(c.t, "INSERT INTO "+c.db.table+" (id, name, version) VALUES (?, 'new', ?)", id, c.version.Add(1))
	}
	c.inTx(func(tx *sql.Tx) error { return c.syncer.MarkBatch(context.Background(), tx, ids...) })
}

// until waits for fn to say so.
func (c *campaign) until(fn func() bool) {
	c.t.Helper()
	deadline := time.After(2 * time.Minute)
	for !fn() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			c.t.Fatalf("not after two minutes; %d writes", c.s3.count())
		}
	}
}

// looked lets Config.Recheck be over for all that wait for it.
func (c *campaign) looked() {
	c.t.Helper()
	rechecks := " WHERE queue = 'objectsync' AND target = 'products/recheck' AND status = 'waiting'"
	c.db.exec(c.t, "UPDATE "+c.db.prefix+"task SET due_at = 1, claim_at = 1"+rechecks+" AND claim_at = due_at")
	n := 0
	c.until(func() bool {
		must(c.t, c.db.QueryRow("SELECT COUNT(*) FROM "+c.db.prefix+"task"+rechecks).Scan(&n))
		return n == 0
	})
	c.settled()
}

// A thousand entities; a tenth of all requests fail, some after they were done; one process is
// killed with writes on their way, which arrive after it has died; another is frozen for
// longer than its lease; four writers change rows, one of them the same row, and their marks come
// twice and in another order.
func TestAThousandObjectsFollowTheirRowsThroughFaultsAndAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	eachDatabase(t, func(t *testing.T, db *database) {
		c := newCampaign(t, db)
		c.s3.with(func(s *s3) { s.random = rand.New(rand.NewPCG(c.seed, 7)) })
		c.seedRows()

		// From the 300th write on, those of the first process are held until it is dead, and those
		// of the second until it is frozen: in the middle of its uploads, and of no transaction, which would
		// lock rows until the database gives its connection up.
		free := make(chan struct{})
		victim := c.stuck(300, free)
		victim.kill()
		frozen := c.stuck(100, free)
		frozen.signal(t, syscall.SIGSTOP)

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.syncer.Run(ctx) }()
		c.write(300)
		c.settledBut(frozen)
		close(free) // what the dead one wrote arrives now
		c.until(c.s3.idle)
		frozen.signal(t, syscall.SIGCONT)
		c.write(50)
		c.s3.with(func(s *s3) { s.random = nil })
		c.settled()
		c.looked()
		c.equal()
		frozen.signal(t, syscall.SIGTERM)
		if err := <-frozen.ended; err != nil {
			t.Errorf("the other process ended with %v", err)
		}
		frozen.ended <- nil
		c.settled()
		c.looked()
		c.equal()
		c.drift()
		stop()
		must(t, <-ended)
		t.Logf("%d rows changed, %d writes", c.version.Load(), c.s3.count())
	})
}

// stuck starts a process and returns when as many of its writes as it makes at a time are held, after
// the first ones were let through.
func (c *campaign) stuck(after int64, free <-chan struct{}) *child {
	c.t.Helper()
	var (
		n    atomic.Int64
		held = make(chan struct{}, entities)
	)
	p := c.db.start(c.t, c.s3.side(c.t, func() {
		if n.Add(1) > after {
			held <- struct{}{}
			<-free
		}
	}))
	for range 8 {
		select {
		case <-held:
		case <-time.After(2 * time.Minute):
			c.t.Fatalf("after %d writes none is held", n.Load())
		}
	}
	return p
}

// settledBut waits for the lease of the frozen process to end.
func (c *campaign) settledBut(frozen *child) {
	c.t.Helper()
	if err := syscall.Kill(frozen.cmd.Process.Pid, 0); err != nil {
		c.t.Fatalf("the frozen process is gone: %v", err)
	}
	c.settled()
}
