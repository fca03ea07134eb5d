// Command notify shows best-effort notification at work: a payment service tells four
// merchants of their payments, while one is down for a while, one answers 200
// "fail", one is dead for longer than there are attempts, and one has moved away.
// Nothing needs to be installed: SQLite in a temporary folder, and merchants in this process.
//
//	go run ./examples/notify
//
// It exits 0 only where every merchant knows of every payment that was committed, and of
// no other. Its last line is JSON with what it counted.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/memory"
	"github.com/sluicegate/sluicegate/forwarder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	counted, err := run(ctx, os.Stdout)
	stop()
	err = errors.Join(err, json.NewEncoder(os.Stdout).Encode(counted))
	if err != nil {
		fmt.Fprintln(os.Stderr, "notify:", err)
	}
	if err != nil || !counted.OK {
		os.Exit(1)
	}
}

// counts are the last line.
type counts struct {
	Committed     int  `json:"committed"`      // payments
	RolledBack    int  `json:"rolled_back"`    // payments that were not
	Posts         int  `json:"posts"`          // requests that the merchants got
	Delivered     int  `json:"delivered"`      // notifications
	Confirmed     int  `json:"confirmed"`      // by the merchant who fetched what was missed
	Stopped       int  `json:"stopped"`        // after all attempts, before they were sent again
	Resent        int  `json:"resent"`         // by hand
	Held          int  `json:"held"`           // for the merchant who had moved, until the target was enabled
	Alerts        int  `json:"alerts"`         // for the notifications that were stopped
	Lost          int  `json:"lost"`           // committed, and the merchant does not know
	Phantom       int  `json:"phantom"`        // the merchant knows, and it was not committed
	BadSignatures int  `json:"bad_signatures"` // that a merchant refused
	OK            bool `json:"ok"`
}

// run is the whole of it, within a minute.
func run(ctx context.Context, out io.Writer) (c counts, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "sluicegate-notify")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "pay.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // SQLite: one shared write connection
	if err := sluicegate.Migrate(ctx, db, sluicegate.Config{}); err != nil {
		return c, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE payment (id TEXT PRIMARY KEY, merchant TEXT NOT NULL)"); err != nil {
		return c, err
	}
	memory, err := broker.Open(ctx, "memory://notify", broker.Config{})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		return c, err
	}
	s := &story{out: out, db: db, box: box, memory: memory, merchants: newMerchants()}
	defer s.merchants.close()
	return s.tell(ctx)
}
