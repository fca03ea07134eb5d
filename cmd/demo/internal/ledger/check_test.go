package ledger

import "testing"

// exact is a ledger in which everything is as it should be: three orders, of
// which payment set c aside and points set b aside, as they were meant to.
func exact() Facts {
	f := Facts{
		Accepted: []string{"a", "b", "c"},
		Orders:   map[string]string{"a": "paid", "b": "paid", "c": "placed"},
		Dead:     map[string]map[string]bool{Payment: {"c": true}, "points": {"b": true}},
		Poison:   map[string]map[string]bool{Payment: {"c": true}, "points": {"b": true}},
	}
	for _, s := range Services {
		f.Applied = append(f.Applied, Entry{s, "a"})
		if s != "points" {
			f.Applied = append(f.Applied, Entry{s, "b"})
		}
	}
	return f
}

func TestAnExactLedgerHasNoFault(t *testing.T) {
	r := Check(exact())
	if !r.Exact() || r.Orders != 3 || r.Applied[Payment] != 2 || r.Applied["points"] != 1 || r.DeadLettered["points"] != 1 {
		t.Errorf("report is %+v", r)
	}
	if r := Check(Facts{}); !r.Exact() {
		t.Errorf("an empty ledger: %+v", r)
	}
}

func drop(f *Facts, e Entry) {
	for i, x := range f.Applied {
		if x == e {
			f.Applied = append(f.Applied[:i], f.Applied[i+1:]...)
			return
		}
	}
}

func TestAWrongLedgerIsCaught(t *testing.T) {
	for _, c := range []struct {
		name                      string
		spoil                     func(*Facts)
		lost, duplicated, phantom int
	}{
		{"an effect is missing", func(f *Facts) { drop(f, Entry{"stock", "a"}) }, 1, 0, 0},
		{"a message never left: no service acted but payment", func(f *Facts) {
			drop(f, Entry{"stock", "a"})
			drop(f, Entry{"points", "a"})
			drop(f, Entry{"shipping", "a"})
		}, 3, 0, 0},
		{"an order was accepted and is not there", func(f *Facts) { f.Accepted = append(f.Accepted, "z") }, 1, 0, 0},
		{"a committed order was never handled", func(f *Facts) { f.Orders["z"] = "placed" }, 4, 0, 0},
		{"an effect happened twice", func(f *Facts) { f.Applied = append(f.Applied, Entry{"stock", "a"}) }, 0, 1, 0},
		{"an effect happened four times", func(f *Facts) {
			f.Applied = append(f.Applied, Entry{"stock", "a"}, Entry{"stock", "a"}, Entry{"stock", "a"})
		}, 0, 3, 0},
		{"an order was rolled back, and its message sent", func(f *Facts) { f.Applied = append(f.Applied, Entry{"stock", "rolled-back"}) }, 0, 0, 1},
		{"an effect of a handler that failed for good stayed", func(f *Facts) { f.Applied = append(f.Applied, Entry{"points", "b"}) }, 0, 0, 1},
		{"an order was handled that was never paid", func(f *Facts) { f.Applied = append(f.Applied, Entry{"stock", "c"}) }, 0, 0, 1},
		{"the status and the ledger differ", func(f *Facts) { f.Orders["a"] = "placed" }, 0, 0, 1},
		{"a healthy message was set aside", func(f *Facts) {
			drop(f, Entry{"stock", "a"})
			f.Dead["stock"] = map[string]bool{"a": true}
		}, 1, 0, 0},
		{"a poison message vanished without a dead letter", func(f *Facts) { delete(f.Dead["points"], "b") }, 1, 0, 0},
		{"a dead letter of payment was swallowed", func(f *Facts) { delete(f.Dead, Payment) }, 4, 0, 0},
		{"one request has become two orders", func(f *Facts) { f.Requests = map[string]string{"a": "1", "b": "2", "c": "2"} }, 0, 1, 0},
		{"a service that nobody knows", func(f *Facts) { f.Applied = append(f.Applied, Entry{"stok", "a"}) }, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := exact()
			c.spoil(&f)
			r := Check(f)
			if r.Lost != c.lost || r.Duplicated != c.duplicated || r.Phantom != c.phantom || r.Exact() {
				t.Errorf("lost %d duplicated %d phantom %d, want %d %d %d: %v", r.Lost, r.Duplicated, r.Phantom, c.lost, c.duplicated, c.phantom, r.Problems)
			}
			if len(r.Problems) == 0 {
				t.Error("no problem is named")
			}
		})
	}
}

func TestWithoutAPlanEveryDeadLetterCounts(t *testing.T) {
	f := exact()
	f.Poison = nil
	if r := Check(f); !r.Exact() {
		t.Errorf("report is %+v", r)
	}
}
