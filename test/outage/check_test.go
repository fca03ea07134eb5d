package outage_test

import (
	"strconv"
	"testing"
	"time"
)

// comeback is how the relay came to terms with what had waited.
type comeback struct {
	first, all time.Duration // until the first left, and from then on until all had
	rate       float64
	measured   bool // it was enough to speak of a rate
}

// catchUp waits until the relay has sent what waited when the broker came back. More comes
// meanwhile, so it counts by ids.
func (p place) catchUp(t *testing.T, waiting int) (r comeback) {
	t.Helper()
	last := p.count(t, "SELECT COALESCE(MAX(id), 0) FROM "+p.table("outbox"))
	left := func() int {
		return p.count(t, "SELECT COUNT(*) FROM "+p.table("outbox")+" WHERE id <= "+strconv.Itoa(last))
	}
	began := time.Now()
	total := left()
	eventually(t, catchUp, "the first message leaves", func() bool { return left() < total })
	r.first = time.Since(began)
	began = time.Now()
	// A question that an index answers, so that it is not the asking that is measured.
	eventually(t, catchUp, "all that had waited have left", func() bool {
		return p.count(t, "SELECT COUNT(*) FROM (SELECT 1 FROM "+p.table("outbox")+" WHERE id <= "+strconv.Itoa(last)+" LIMIT 1) AS first") == 0
	})
	r.all = time.Since(began)
	r.rate = float64(total) / r.all.Seconds()
	r.measured = waiting >= 2*relaySpeed
	return r
}

// check reconciles what was committed with what was applied.
func (p place) check(t *testing.T, committed int) {
	t.Helper()
	applied := p.table("applied")
	for what, query := range map[string]string{
		"duplicates":             "SELECT COUNT(*) FROM (SELECT 1 FROM " + applied + " GROUP BY service, message_key, number HAVING COUNT(*) > 1) AS twice",
		"out of the order":       "SELECT COUNT(*) FROM (SELECT number, LAG(number) OVER (PARTITION BY service, message_key ORDER BY id) AS before FROM " + applied + ") AS pairs WHERE number <= before",
		"dead letters":           "SELECT COUNT(*) FROM " + p.table("dead_letter"),
		"set aside by the relay": "SELECT COUNT(*) FROM " + p.table("outbox_history") + " WHERE status <> 'delivered'",
		"still in the outbox":    "SELECT COUNT(*) FROM " + p.table("outbox"),
		"tasks not done":         "SELECT COUNT(*) FROM " + p.table("task") + " WHERE status NOT IN ('done', 'waiting', 'held')",
	} {
		if n := p.count(t, query); n != 0 {
			t.Errorf("%s: %d, want none", what, n)
		}
	}
	for _, service := range services {
		if n := p.count(t, "SELECT COUNT(*) FROM "+applied+" WHERE service = '"+service+"'"); n != committed {
			t.Errorf("%s applied %d messages, %d were committed", service, n, committed)
		}
	}
	if n := p.count(t, "SELECT COUNT(*) FROM "+p.table("task")); n == 0 {
		t.Error("no message was parked: the test shows less than it says")
	}
}

// describe logs how far things have come.
func (p place) describe(t *testing.T, committed int) {
	t.Helper()
	t.Logf("%d committed", committed)
	for _, query := range []string{
		"SELECT 'applied by ' || service, COUNT(*) FROM " + p.table("applied") + " GROUP BY service",
		"SELECT 'in the outbox', COUNT(*) FROM " + p.table("outbox"),
		"SELECT 'history ' || status, COUNT(*) FROM " + p.table("outbox_history") + " GROUP BY status",
		"SELECT 'task ' || status || ' of ' || target || ': ' || error, COUNT(*) FROM " + p.table("task") + " GROUP BY status, target, error",
		"SELECT 'inbox ' || status || ' of ' || handler, COUNT(*) FROM " + p.table("inbox") + " GROUP BY status, handler",
	} {
		p.log(t, query)
	}
}

func (p place) log(t *testing.T, query string) {
	t.Helper()
	rows, err := p.db.Query(query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var what string
		var n int
		must(t, rows.Scan(&what, &n))
		t.Logf("%s: %d", what, n)
	}
	must(t, rows.Err())
}
