package demo_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/database"
)

// The embedded shop needs no server: SQLite, and a broker that stores nothing.
// It is killed as a whole, and started again on the same file.
func TestTheEmbeddedShopIsExactAfterItWasKilled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := database.SQLiteURL(filepath.Join(t.TempDir(), "shop.db"))
	begin := func() *process {
		p := start(t, "--database", file, "--listen", address)
		p.waitReady(t)
		return p
	}
	shop := begin()
	orders := placeOrders(t, "http://"+address, 6*time.Second)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	kills := 0
	for placing := true; placing; {
		select {
		case <-orders.done:
			placing = false
		case <-tick.C:
			kills++
			shop.kill()
			shop = begin()
		}
	}
	t.Logf("%d orders answered by 201, %d of unknown outcome, %d kills", len(orders.accepted), orders.unknown, kills)
	db := open(t, file)
	waitApplied(t, db, drainFor)
	if code := shop.stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if kills < 2 || len(orders.accepted) < 50 || orders.unknown == 0 {
		t.Error("too little happened to show anything")
	}
	checkExact(t, db, orders.accepted)
	checkParcels(t, db)
}
