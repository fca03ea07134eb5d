package demo_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	placeFor  = 24 * time.Second
	killEvery = 3 * time.Second
	drainFor  = 80 * time.Second
)

var services = []string{"payment", "stock", "points", "shipping"}

// The relay and a process of consumers die, again and again, while orders come
// in. What was answered by 201 is then applied by each service once.
func TestTheLedgerIsExactAfterRelayAndConsumersWereKilled(t *testing.T) {
	database, kafka := freshDatabase(t, server(t, "POSTGRES_URL")), server(t, "KAFKA_URL")
	common := []string{"--database", database, "--broker", kafka, "--topic-suffix", "." + random()}
	role := func(roles string, more ...string) func() *process {
		return func() *process {
			return start(t, append(append([]string{"--roles", roles}, common...), more...)...)
		}
	}
	api := role("api", "--listen", "127.0.0.1:0")()
	startRelay, startVictim := role("relay"), role("payment,stock")
	survivor, relay, victim := role("points,shipping")(), startRelay(), startVictim()
	for _, p := range []*process{api, survivor, relay, victim} {
		p.waitReady(t)
	}
	orders := placeOrders(t, <-api.url, placeFor)
	kills := 0
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	for placing := true; placing; {
		select {
		case <-orders.done:
			placing = false
		case <-tick.C:
			if kills++; kills%2 == 1 {
				relay.kill()
				relay = startRelay()
			} else {
				victim.kill()
				victim = startVictim()
			}
		}
	}
	accepted := orders.accepted
	t.Logf("%d orders answered by 201, %d of unknown outcome, %d kills", len(accepted), orders.unknown, kills)
	db := open(t, database)
	waitApplied(t, db, drainFor)
	for _, p := range []*process{api, relay, victim, survivor} {
		if code := p.stop(t); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	}
	if kills < 4 || len(accepted) < 100 {
		t.Errorf("%d kills and %d orders are too few to show anything", kills, len(accepted))
	}
	checkExact(t, db, accepted)
	checkParcels(t, db)
	pids(t, db)
}

// placed is what a client saw.
type placed struct {
	done     chan struct{}
	mu       sync.Mutex
	accepted []string
	unknown  int
}

// placeOrders places orders from four clients for a while.
func placeOrders(t *testing.T, url string, d time.Duration) *placed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	out := &placed{done: make(chan struct{})}
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			tick := time.NewTicker(25 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				id, err := place(t.Context(), url, fmt.Sprintf("c%d-%d", client, i%25))
				out.mu.Lock()
				if err == nil {
					out.accepted = append(out.accepted, id)
				} else {
					out.unknown++ // the orders table says what became of it
				}
				out.mu.Unlock()
			}
		})
	}
	go func() {
		defer close(out.done)
		defer cancel()
		all.Wait()
	}()
	return out
}

func place(ctx context.Context, url, customer string) (string, error) {
	body := fmt.Sprintf(`{"customer": %q, "sku": "sku-1", "quantity": 1, "amount": 9.90}`, customer)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/orders", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusCreated || answer.ID == "" {
		return "", fmt.Errorf("answered %s", response.Status)
	}
	return answer.ID, nil
}

// waitApplied waits until nothing is left to do, or no longer.
func waitApplied(t *testing.T, db *sql.DB, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begun := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var missing, waiting int
		err := db.QueryRowContext(ctx, `SELECT (SELECT 4 * COUNT(*) FROM orders) - (SELECT COUNT(*) FROM (SELECT DISTINCT service, order_id FROM ledger) d),
			(SELECT COUNT(*) FROM sluicegate_outbox)`).Scan(&missing, &waiting)
		if err == nil && missing == 0 && waiting == 0 {
			t.Logf("drained %.1f s after the last order", time.Since(begun).Seconds())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("after %v, %d effects are missing and %d messages wait in the outbox (%v)", d, missing, waiting, err)
			return
		}
	}
}

// checkExact compares what clients were told, the orders and the ledger.
func checkExact(t *testing.T, db *sql.DB, accepted []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT o.id, o.status, COALESCE(l.service, ''), COUNT(l.order_id)
		FROM orders o FULL JOIN ledger l ON l.order_id = o.id GROUP BY o.id, o.status, l.service`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	applied := map[string]map[string]int{}
	for rows.Next() {
		var id, status sql.NullString
		var service string
		var n int
		if err := rows.Scan(&id, &status, &service, &n); err != nil {
			t.Fatal(err)
		}
		if !id.Valid {
			t.Errorf("phantom: %s applied %d orders that were never committed", service, n)
			continue
		}
		if status.String != "paid" {
			t.Errorf("order %s is %s", id.String, status.String)
		}
		if applied[id.String] == nil {
			applied[id.String] = map[string]int{}
		}
		applied[id.String][service] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range accepted {
		if applied[id] == nil {
			t.Errorf("lost: order %s was answered by 201 and is not there", id)
		}
	}
	for id, by := range applied {
		for _, s := range services {
			if by[s] != 1 {
				t.Errorf("order %s was applied %d times by %s", id, by[s], s)
			}
		}
	}
}

// checkParcels checks that no result of the courier was noted twice, or of an order
// that is not there.
func checkParcels(t *testing.T, db *sql.DB) {
	t.Helper()
	var noted, twice, phantom int
	err := db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM parcels), (SELECT COUNT(*) - COUNT(DISTINCT order_id) FROM parcels),
		(SELECT COUNT(*) FROM parcels p WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = p.order_id))`).Scan(&noted, &twice, &phantom)
	if err != nil {
		t.Fatal(err)
	}
	if noted == 0 || twice != 0 || phantom != 0 {
		t.Errorf("%d results of the courier are noted, %d of them again, %d of no order", noted, twice, phantom)
	}
	t.Logf("%d results of the courier are noted", noted)
}

// pids checks that the killed consumers had really worked: several of their
// processes are in the ledger.
func pids(t *testing.T, db *sql.DB) {
	t.Helper()
	var victims, survivors int
	err := db.QueryRowContext(t.Context(), `SELECT COUNT(DISTINCT CASE WHEN service = 'stock' THEN pid END),
		COUNT(DISTINCT CASE WHEN service = 'points' THEN pid END) FROM ledger`).Scan(&victims, &survivors)
	if err != nil {
		t.Fatal(err)
	}
	if victims < 2 || survivors != 1 {
		t.Errorf("%d processes of stock and %d of points are in the ledger, want several and 1", victims, survivors)
	}
}
