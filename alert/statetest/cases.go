package statetest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

var cases = []testCase{
	{"a row is kept as it was put", func(c *C) {
		due := c.now().Add(time.Hour).Truncate(time.Microsecond)
		data := `{"text":"错误 \u0000 'quoted' ` + strings.Repeat("x", 100_000) + `"}`
		row := group("one", data)
		row.Due = due
		c.put(row)
		got := c.get(alert.KindGroup, "one")
		if got.Version != 1 || got.Kind != alert.KindGroup || got.ID != "one" || !got.Due.Equal(due) || string(got.Data) != data {
			c.fatalf("version %d, due %s, %d bytes; want 1, %s, %d", got.Version, got.Due, len(got.Data), due, len(data))
		}
	}},
	{"a row that is not there has version 0", func(c *C) {
		c.put(group("other", "{}"))
		c.put(alert.Row{Kind: alert.KindChannel, ID: "one", Data: []byte("{}")})
		if got := c.get(alert.KindGroup, "one"); got.Version != 0 || got.ID != "one" || got.Kind != alert.KindGroup {
			c.fatalf("%+v", got)
		}
	}},
	{"each write raises the version by one", func(c *C) {
		c.put(group("one", "1"))
		for version := int64(1); version <= 3; version++ {
			row := c.get(alert.KindGroup, "one")
			c.same("version", row.Version, version)
			row.Data, row.Due = []byte("changed"), time.Time{}
			c.put(row)
		}
		c.same("data", string(c.get(alert.KindGroup, "one").Data), "changed")
	}},
	{"a stale write changes nothing", func(c *C) {
		c.put(group("one", "1"))
		stale := c.get(alert.KindGroup, "one")
		fresh := stale
		fresh.Data = []byte("2")
		c.put(fresh)
		stale.Data = []byte("stale")
		c.conflict("a stale put", c.State.Put(background, stale))
		stale.Version = 7
		c.conflict("a put ahead of its time", c.State.Put(background, stale))
		got := c.get(alert.KindGroup, "one")
		c.same("data and version", []any{string(got.Data), got.Version}, []any{"2", 2})
	}},
	{"what is there is not inserted again", func(c *C) {
		c.put(group("one", "1"))
		c.conflict("a second insert", c.State.Put(background, group("one", "2")))
		c.same("data", string(c.get(alert.KindGroup, "one").Data), "1")
	}},
	{"what is not there is not written over", func(c *C) {
		row := group("one", "1")
		row.Version = 1
		c.conflict("an update of nothing", c.State.Put(background, row))
		c.same("version", c.get(alert.KindGroup, "one").Version, 0)
	}},
	{"of many writes at the same time one wins", func(c *C) {
		for _, version := range []int64{0, 1} {
			var won, broken atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					row := group("one", "x")
					row.Version = version
					switch err := c.State.Put(background, row); {
					case err == nil:
						won.Add(1)
					case !isConflict(err):
						broken.Add(1)
					}
				})
			}
			wg.Wait()
			c.same("winners and other errors", []int64{won.Load(), broken.Load()}, []int64{1, 0})
		}
	}},
	{"only the version that was read is removed", func(c *C) {
		c.put(group("one", "1"))
		stale := c.get(alert.KindGroup, "one")
		c.put(stale)
		c.conflict("a stale delete", c.State.Delete(background, stale))
		row := c.get(alert.KindGroup, "one")
		c.same("version", row.Version, 2)
		if err := c.State.Delete(background, row); err != nil {
			c.fatalf("delete: %v", err)
		}
		c.same("version", c.get(alert.KindGroup, "one").Version, 0)
		c.conflict("a second delete", c.State.Delete(background, row))
		c.conflict("a delete of nothing", c.State.Delete(background, group("one", "")))
		c.put(group("one", "again"))
	}},
	{"rows are listed by kind, in the order of bytes, page by page", func(c *C) {
		for _, id := range []string{"b", "a", "B", "错", "a-1", "a1"} {
			c.put(group(id, "x"))
		}
		c.put(alert.Row{Kind: alert.KindSilence, ID: "aa", Data: []byte("x")})
		c.same("all", c.list(alert.KindGroup, "", 10), []string{"B", "a", "a-1", "a1", "b", "错"})
		c.same("a page", c.list(alert.KindGroup, "a", 2), []string{"a-1", "a1"})
		c.same("the last", c.list(alert.KindGroup, "错", 2), []string{})
	}},
	{"upper and lower case differ, and so do spaces at the end", func(c *C) {
		for _, id := range []string{"id", "ID", "id "} {
			c.put(group(id, id+"|"))
		}
		for _, id := range []string{"id", "ID", "id "} {
			c.same("data", string(c.get(alert.KindGroup, id).Data), id+"|")
		}
	}},
	{"the agenda has what is due, the longest due first, and when the next is", func(c *C) {
		now := c.now()
		at := func(id string, kind alert.Kind, d time.Duration) {
			c.put(alert.Row{Kind: kind, ID: id, Due: now.Add(d), Data: []byte("data of " + id)})
		}
		c.put(group("never", ""))
		at("late", alert.KindGroup, -time.Minute)
		at("latest", alert.KindSilence, -time.Hour)
		at("soon", alert.KindGroup, time.Minute)
		at("later", alert.KindGroup, 10*time.Minute)
		ids, a := c.agenda(10)
		c.same("due", ids, []string{"latest", "late"})
		c.same("a row", []any{a.Rows[0].Kind, a.Rows[0].Version, string(a.Rows[0].Data)}, []any{alert.KindSilence, 1, "data of latest"})
		if d := a.Next.Sub(now.Add(time.Minute)).Abs(); d > time.Microsecond {
			c.fatalf("the next is %s off", d)
		}
		ids, _ = c.agenda(1)
		c.same("limited", ids, []string{"latest"})
		c.Advance(5 * time.Minute)
		ids, a = c.agenda(10)
		c.same("due later", ids, []string{"latest", "late", "soon"})
		if d := a.Now.Sub(now); d < 5*time.Minute || d > 10*time.Minute {
			c.fatalf("the clock went on by %s", d)
		}
		c.Advance(10 * time.Minute)
		if _, a = c.agenda(10); !a.Next.IsZero() {
			c.fatalf("nothing else is due, but %s", a.Next)
		}
	}},
	{"a due time that is taken away is not in the agenda", func(c *C) {
		row := group("one", "")
		row.Due = c.now().Add(-time.Hour)
		c.put(row)
		row = c.get(alert.KindGroup, "one")
		row.Due = time.Time{}
		c.put(row)
		if ids, a := c.agenda(10); len(ids) > 0 || !a.Next.IsZero() {
			c.fatalf("%q, next %s", ids, a.Next)
		}
	}},
	{"what a caller does to its bytes later is its own", func(c *C) {
		data := []byte("kept")
		row := alert.Row{Kind: alert.KindGroup, ID: "one", Due: c.now().Add(-time.Hour), Data: data}
		c.put(row)
		copy(data, "lost")
		copy(c.get(alert.KindGroup, "one").Data, "lost")
		_, a := c.agenda(1)
		copy(a.Rows[0].Data, "lost")
		rows, err := c.State.List(background, alert.KindGroup, "", 1)
		if err != nil {
			c.fatalf("%v", err)
		}
		copy(rows[0].Data, "lost")
		c.same("data", string(c.get(alert.KindGroup, "one").Data), "kept")
	}},
	{"what cannot be kept is refused", func(c *C) {
		for _, row := range []alert.Row{
			{ID: "one"}, {Kind: alert.KindGroup}, {Kind: alert.KindGroup, ID: strings.Repeat("x", alert.MaxID+1)},
			{Kind: "a kind of too many bytes", ID: "one"}, {Kind: alert.KindGroup, ID: "one", Version: -1},
		} {
			if err := c.State.Put(background, row); err == nil || isConflict(err) {
				c.fatalf("%+v: error %v", row, err)
			}
		}
		c.put(group(strings.Repeat("x", alert.MaxID), ""))
	}},
	{"an ended context changes nothing", func(c *C) {
		c.put(group("one", "1"))
		row := c.get(alert.KindGroup, "one")
		ctx, cancel := context.WithCancel(background)
		cancel()
		if err := c.State.Put(ctx, row); err == nil || isConflict(err) {
			c.fatalf("put: %v", err)
		}
		if err := c.State.Delete(ctx, row); err == nil || isConflict(err) {
			c.fatalf("delete: %v", err)
		}
		c.same("version", c.get(alert.KindGroup, "one").Version, 1)
	}},
}
