package deadlettertest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/fingerprint"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

var filterCases = map[string]func(*fixture){
	"every field of a filter selects":                               fields,
	"the newest come first where that is asked for":                 newest,
	"a text is found, and a page without it says where to go on":    texts,
	"letters are grouped by their error without its values":         groups,
	"letters of an older version are valid, and get their group":    older,
	"what cannot be a filter is refused with the name of its field": badFilters,
}

// spread stores ten letters that differ in everything, an hour apart from base.
func (f *fixture) spread() (base time.Time) {
	f.Helper()
	base = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for n := range 10 {
		l := letter(n)
		l.Reason = fmt.Sprintf("no stock of \"lamp %d\" at 10.0.0.%d:80", n, n)
		if n >= 7 {
			l.Reason, l.Consumer = fmt.Sprintf("Ünknown order %d 100%%_'\\", n), "other"
		}
		f.must(f.store.Put(f.Context(), l))
	}
	for n, l := range f.list(deadletter.Filter{}) {
		f.exec("dead_at = ? WHERE id = ?", base.Add(time.Duration(n)*time.Hour).UnixMicro(), l.ID)
	}
	return base
}

func keys(letters []deadletter.Letter) string {
	var out []string
	for _, l := range letters {
		out = append(out, strings.TrimPrefix(l.Key, "key-"))
	}
	return strings.Join(out, " ")
}

func fields(f *fixture) {
	base := f.spread()
	all := f.list(deadletter.Filter{})
	f.exec("status = 'redriven' WHERE id = ?", all[9].ID)
	for _, c := range []struct {
		name, want string
		filter     deadletter.Filter
	}{
		{"nothing", "0 1 2 3 4 5 6 7 8", deadletter.Filter{}},
		{"redriven", "9", deadletter.Filter{Status: deadletter.Redriven}},
		{"any", "0 1 2 3 4 5 6 7 8 9", deadletter.Filter{Status: deadletter.AnyStatus}},
		{"consumer", "7 8", deadletter.Filter{Consumer: "other"}},
		{"handler", "1 3 5 7", deadletter.Filter{Handler: "handler-1"}},
		{"topic", "2 5 8", deadletter.Filter{Topic: "topic-2"}},
		{"handler and topic", "5", deadletter.Filter{Topic: "topic-2", Handler: "handler-1"}},
		{"key", "3", deadletter.Filter{Key: "key-3"}},
		{"uuid", "4", deadletter.Filter{UUID: "uuid-4"}},
		{"group", "7 8", deadletter.Filter{Group: all[8].Group}},
		{"group and handler", "8", deadletter.Filter{Group: all[8].Group, Handler: "handler-0"}},
		{"from", "5 6 7 8", deadletter.Filter{From: base.Add(5 * time.Hour)}},
		{"to", "0 1 2", deadletter.Filter{To: base.Add(3 * time.Hour)}},
		{"range", "3 4", deadletter.Filter{From: base.Add(2*time.Hour + 1000), To: base.Add(5 * time.Hour)}},
		{"text in the reason", "0 1 2 3 4 5 6", deadletter.Filter{Text: "lamp"}},
		{"text as it is", "7 8", deadletter.Filter{Text: "%_'\\"}},
		{"text in its case", "", deadletter.Filter{Text: "ünknown"}},
		{"text of more bytes", "7 8", deadletter.Filter{Text: "Ünk"}},
		{"text in the key", "6", deadletter.Filter{Text: "ey-6"}},
		{"text in the uuid", "6", deadletter.Filter{Text: "uid-6"}},
		{"text and more", "6", deadletter.Filter{Text: "lamp", Topic: "topic-0", From: base.Add(4 * time.Hour)}},
		{"ids", "3 4", deadletter.Filter{After: all[2].ID, Before: all[5].ID}},
		{"none", "", deadletter.Filter{Consumer: "nobody"}},
	} {
		if got := keys(f.list(c.filter)); got != c.want {
			f.Errorf("%s: lists %q, want %q", c.name, got, c.want)
		}
		n, err := f.store.Count(f.Context(), c.filter)
		if err != nil || n != int64(len(strings.Fields(c.want))) {
			f.Errorf("%s: counts %d, %v", c.name, n, err)
		}
	}
	if l := f.list(deadletter.Filter{Brief: true})[3]; len(l.Message.Payload) != 0 || len(l.Attempts) != 0 || l.Message.UUID != "uuid-3" || l.Reason == "" {
		f.Errorf("brief: %+v", l)
	}
	if l := f.get(all[3].ID); l.Ref == "" || l.Status != deadletter.Dead || l.Group != fingerprint.Of(l.Reason) || len(l.Attempts) != 2 || len(l.Message.Payload) == 0 {
		f.Errorf("get: %+v", l)
	}
}

func newest(f *fixture) {
	f.spread()
	filter := deadletter.Filter{Newest: true, Limit: 4, Handler: "handler-0"}
	page, err := f.store.Page(f.Context(), filter)
	f.must(err)
	if got := keys(page.Letters); got != "8 6 4 2" || page.Next != page.Letters[3].ID {
		f.Errorf("%s, then %d", got, page.Next)
	}
	filter.Before = page.Next
	page, err = f.store.Page(f.Context(), filter)
	f.must(err)
	if got := keys(page.Letters); got != "0" || page.Next != 0 {
		f.Errorf("%s, then %d", got, page.Next)
	}
}

// fill makes about n letters out of those that are there.
func (f *fixture) fill(n int) {
	f.Helper()
	table := f.names.Table(f.d, "dead_letter")
	columns := "status, consumer, handler, topic, message_key, message_uuid, payload, headers, reason, attempt_count, attempts, dead_at, fingerprint"
	for count := len(f.list(deadletter.Filter{Limit: deadletter.MaxLimit})); count < n; count *= 2 {
		_, err := f.db.ExecContext(f.Context(), "INSERT INTO "+table+" ("+columns+") SELECT "+columns+" FROM "+table)
		f.must(err)
	}
}

func texts(f *fixture) {
	f.must(f.store.Put(f.Context(), letter(0)))
	f.fill(32_768)
	needle := letter(1)
	needle.Reason = "a needle"
	f.must(f.store.Put(f.Context(), needle))
	for _, newest := range []bool{false, true} {
		filter := deadletter.Filter{Text: "needle", Newest: newest}
		page, err := f.store.Page(f.Context(), filter)
		f.must(err)
		if len(page.Letters) == map[bool]int{false: 1, true: 0}[newest] || page.Next == 0 {
			f.Fatalf("newest %t: the first page has %d letters and goes on at %d", newest, len(page.Letters), page.Next)
		}
		if newest {
			filter.Before = page.Next
		} else {
			filter.After = page.Next
		}
		page, err = f.store.Page(f.Context(), filter)
		f.must(err)
		if len(page.Letters) == map[bool]int{false: 0, true: 1}[newest] || page.Next != 0 {
			f.Fatalf("newest %t: the second page has %d letters and goes on at %d", newest, len(page.Letters), page.Next)
		}
		if list := f.list(deadletter.Filter{Text: "needle", Newest: newest}); len(list) != 1 || list[0].Reason != "a needle" {
			f.Fatalf("newest %t: the list has %d letters", newest, len(list))
		}
	}
	if list := f.list(deadletter.Filter{Text: "boom", Limit: 1000}); len(list) != 1000 {
		f.Errorf("%d of a frequent text", len(list))
	}
}

func groups(f *fixture) {
	base := f.spread()
	got, err := f.store.Groups(f.Context(), deadletter.Filter{})
	f.must(err)
	if len(got) != 2 {
		f.Fatalf("%+v", got)
	}
	g := got[0]
	if g.Count != 7 || !g.First.Equal(base) || !g.Last.Equal(base.Add(6*time.Hour)) || g.Error != "no stock of ? at <addr>" || g.Sample.Key != "key-6" || !fingerprint.Valid(g.Fingerprint) {
		f.Errorf("%+v", g)
	}
	if g := got[1]; g.Count != 3 || g.Sample.Key != "key-9" || g.Fingerprint == got[0].Fingerprint {
		f.Errorf("%+v", g)
	}
	got, err = f.store.Groups(f.Context(), deadletter.Filter{Handler: "handler-1", Text: "lamp"})
	f.must(err)
	if len(got) != 1 || got[0].Count != 3 || got[0].Sample.Key != "key-5" {
		f.Errorf("%+v", got)
	}
	if got, err = f.store.Groups(f.Context(), deadletter.Filter{Limit: 1}); err != nil || len(got) != 1 {
		f.Error(got, err)
	}
	if got, err = f.store.Groups(f.Context(), deadletter.Filter{Consumer: "nobody"}); err != nil || len(got) != 0 {
		f.Error(got, err)
	}
}

func older(f *fixture) {
	f.spread()
	f.exec("ref = NULL, fingerprint = ''")
	if got := keys(f.list(deadletter.Filter{})); got != "0 1 2 3 4 5 6 7 8 9" {
		f.Errorf("lists %s", got)
	}
	got, err := f.store.Groups(f.Context(), deadletter.Filter{})
	if err != nil || len(got) != 1 || got[0].Fingerprint != "" || got[0].Count != 10 {
		f.Errorf("%+v, %v", got, err)
	}
	for _, want := range []int64{10, 0} {
		if n, err := f.store.Backfill(f.Context()); err != nil || n != want {
			f.Errorf("%d, %v; want %d", n, err, want)
		}
	}
	got, err = f.store.Groups(f.Context(), deadletter.Filter{})
	if err != nil || len(got) != 2 {
		f.Errorf("%+v, %v", got, err)
	}
	refs := map[string]bool{}
	for _, l := range f.list(deadletter.Filter{}) {
		refs[l.Ref] = true
	}
	if len(refs) != 10 || refs[""] {
		f.Errorf("%d names", len(refs))
	}
}

func badFilters(f *fixture) {
	now := time.Now()
	for field, filter := range map[string]deadletter.Filter{
		"Filter.Status": {Status: "lost"}, "Filter.Group": {Group: "boom"}, "Filter.To": {From: now, To: now},
		"Filter.Text": {Text: strings.Repeat("x", 1025)}, "Filter.After": {After: -1}, "Filter.Before": {After: 5, Before: 5}, "Filter.Limit": {Limit: 1001},
	} {
		_, listErr := f.store.List(f.Context(), filter)
		_, pageErr := f.store.Page(f.Context(), filter)
		_, groupErr := f.store.Groups(f.Context(), filter)
		_, countErr := f.store.Count(f.Context(), filter)
		_, exportErr := f.store.Export(f.Context(), nil, filter)
		if field == "Filter.Limit" {
			countErr, exportErr = listErr, listErr // they have none
		}
		if field == "Filter.After" || field == "Filter.Before" {
			groupErr = listErr // it has none
		}
		for what, err := range map[string]error{"List": listErr, "Page": pageErr, "Groups": groupErr, "Count": countErr, "Export": exportErr} {
			if err == nil || !strings.Contains(err.Error(), field) {
				f.Errorf("%s does not name %s: %v", what, field, err)
			}
		}
	}
	if _, err := f.store.List(f.Context(), deadletter.Filter{Text: "a\x00b"}); err == nil {
		f.Error("NUL must be refused")
	}
}
