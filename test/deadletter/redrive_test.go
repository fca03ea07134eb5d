package deadletter_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	idemsql "github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/parked"
	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/deadletter/deadlettertest"
	"github.com/sluicegate/sluicegate/test/place"
)

// heapLimit is what a redrive may hold besides what was there: a batch of
// letters, their tasks, and what the collector has not taken yet.
const heapLimit = 32 << 20

func TestARedriveOfManyRunsInBoundedMemory(t *testing.T) {
	for _, d := range []sqldialect.Dialect{sqldialect.PostgreSQL, sqldialect.MySQL, sqldialect.SQLite} {
		t.Run(d.String(), func(t *testing.T) {
			n := 2_000
			if os.Getenv(largeVariable) != "" {
				n = 100_000
			}
			redriveMany(t, d, n)
		})
	}
}

func redriveMany(t *testing.T, d sqldialect.Dialect, n int) {
	t.Helper()
	db := place.Open(t, d)
	fill(t, db, n)
	inbox := db.Table(schema.Inbox)
	scope := "consumer || '/' || handler"
	if d == sqldialect.MySQL {
		scope = "CONCAT(consumer, '/', handler)"
	}
	db.Do(t, "INSERT INTO "+inbox+" (handler, message_key, status, created_at, updated_at) SELECT "+scope+", message_key, 'dead', 0, 0 FROM "+db.Table(schema.DeadLetter))
	store, err := deadletter.SQL(db.DB, deadletter.SQLConfig{Prefix: db.Prefix})
	place.Must(t, err)
	tasks, err := schedule.New(db.DB, schedule.Config{Prefix: db.Prefix})
	place.Must(t, err)
	records, err := idemsql.New(db.DB, idemsql.Config{Prefix: db.Prefix})
	place.Must(t, err)
	desk, err := deadletter.NewDesk(store, deadlettertest.Tasks{Schedule: tasks}, deadletter.DeskConfig{Inbox: records})
	place.Must(t, err)

	everything := deadletter.Selection{Filter: &deadletter.Filter{}}
	before, peak, looked := heap(), uint64(0), int64(0)
	began := time.Now()
	r, err := desk.Redrive(t.Context(), deadletter.RedriveRequest{Selection: everything, By: "ann", Progress: func(r deadletter.Result) {
		if r.Done-looked >= int64(n)/20 {
			looked = r.Done
			peak = max(peak, heap())
		}
	}})
	place.Must(t, err)
	took := time.Since(began)
	dead := int64(n - n/1000)
	if r.Done != dead || r.Skipped != 0 {
		t.Errorf("%+v, want %d", r, dead)
	}
	counts, err := tasks.Counts(t.Context(), parked.Queue)
	place.Must(t, err)
	if waiting := counts.Of[schedule.Waiting]; waiting != dead {
		t.Errorf("%d wait, want %d", waiting, dead)
	}
	grown := int64(peak) - int64(before)
	t.Logf("%d letters in %v, %.0f/s; the heap grew by %d KiB at most", r.Done, took.Round(time.Millisecond), float64(r.Done)/took.Seconds(), grown>>10)
	if grown > heapLimit {
		t.Errorf("the heap grew by %d bytes, want at most %d", grown, heapLimit)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
