package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

var cases = []testCase{
	{name: "what was put is read back, byte for byte", run: func(c *C) {
		for key, body := range map[string]string{
			"a.json": `{"a":1}`, "d/e/f.json": "\x00\xff\r\n", "empty": "", "with space+plus%25.json": "x", "größe/日本.json": "y", "large": strings.Repeat("0123456789", 50_000),
		} {
			c.put(key, body, 1)
			c.holds(key, body)
		}
	}},
	{name: "put replaces the whole object", run: func(c *C) {
		c.put("a", "a long body", 1)
		c.put("a", "short", 2)
		c.holds("a", "short")
	}},
	{name: "what is not there is ErrNotFound", run: func(c *C) {
		c.put("a/b", "x", 1)
		for _, key := range []string{"b", "a", "a/b/c", "a/c"} {
			if _, _, err := c.Get(c.ctx, key); !errors.Is(err, objectsync.ErrNotFound) {
				c.Fatalf("Get %q gave %v", key, err)
			}
			if _, err := c.Stat(c.ctx, key); !errors.Is(err, objectsync.ErrNotFound) {
				c.Fatalf("Stat %q gave %v", key, err)
			}
		}
	}},
	{name: "delete removes one object, and nothing is nothing", run: func(c *C) {
		c.put("a", "x", 1)
		c.put("b/c", "y", 1)
		for _, key := range []string{"a", "a", "never", "b", "b/d"} {
			c.must(c.Delete(c.ctx, key))
		}
		if _, err := c.Stat(c.ctx, "a"); !errors.Is(err, objectsync.ErrNotFound) {
			c.Fatalf("it is still there: %v", err)
		}
		c.holds("b/c", "y")
	}},
	{name: "put, stat and list tell one ETag, which changes with the bytes", run: etags},
	{name: "the time of an object is that of its last change", run: func(c *C) {
		before := time.Now().Add(-2 * time.Second) // some tell full seconds
		c.put("a", "x", 1)
		info, err := c.Stat(c.ctx, "a")
		c.must(err)
		if info.Modified.Before(before) || info.Modified.After(time.Now().Add(2*time.Second)) {
			c.Fatalf("it is %v", info.Modified)
		}
	}},
	{name: "version and hash are kept", needs: "metadata", run: func(c *C) {
		want := blob("x", 1<<60+1)
		_, err := c.Put(c.ctx, "a", want)
		c.must(err)
		info, err := c.Stat(c.ctx, "a")
		c.must(err)
		got, _, err := c.Get(c.ctx, "a")
		c.must(err)
		if info.Version != want.Version || info.Hash != want.Hash || got.Version != want.Version || got.Hash != want.Hash || got.ContentType != want.ContentType {
			c.Fatalf("stat %+v, get %+v, want %+v", info, got, want)
		}
	}},
	{name: "keys that lead elsewhere are refused, and nothing is stored", run: badKeys},
	{name: "a list is in the order of bytes, page by page", run: listed},
	{name: "a list has what begins with the prefix", run: func(c *C) {
		for _, key := range []string{"a/1", "a/2", "ab/1", "a.json", "b"} {
			c.put(key, "x", 1)
		}
		for prefix, want := range map[string][]string{"a/": {"a/1", "a/2"}, "a": {"a.json", "a/1", "a/2", "ab/1"}, "a/1": {"a/1"}, "c/": nil} {
			if got := c.keys(prefix, 100); !slices.Equal(got, want) {
				c.Fatalf("%q: %q, want %q", prefix, got, want)
			}
		}
	}},
	{name: "the end of the context ends a call, and nothing is stored", run: func(c *C) {
		ctx, cancel := context.WithCancel(c.ctx)
		cancel()
		_, err := c.Put(ctx, "a", blob("x", 1))
		_, _, gerr := c.Get(ctx, "a")
		_, serr := c.Stat(ctx, "a")
		_, lerr := c.List(ctx, objectsync.ListRequest{Limit: 10})
		for _, err := range []error{err, gerr, serr, lerr, c.Delete(ctx, "a")} {
			if !errors.Is(err, context.Canceled) {
				c.Fatalf("got %v", err)
			}
		}
		if got := c.keys("", 10); len(got) != 0 {
			c.Fatalf("%q is there", got)
		}
	}},
	{name: "who reads during a write sees the old or the new one, whole", run: torn},
	{name: "a conditional write wants the ETag that is there", needs: "conditional", run: conditional},
	{name: "of conditional writes at once one succeeds", needs: "conditional", run: contested},
	{name: "the declared features are those of the store", run: func(c *C) {
		if _, ok := c.Store.(objectsync.Conditional); ok != c.h.Conditional {
			c.Fatalf("Conditional is %v", ok)
		}
		c.put("a", "x", 7)
		if info, err := c.Stat(c.ctx, "a"); err != nil || (info.Version == 7) != c.h.Metadata {
			c.Fatalf("Metadata: %+v, %v", info, err)
		}
	}},
}

func etags(c *C) {
	one := c.put("a", "x", 1)
	for _, next := range []string{"y", "z"} {
		stat, err := c.Stat(c.ctx, "a")
		c.must(err)
		page, err := c.List(c.ctx, objectsync.ListRequest{Limit: 10})
		c.must(err)
		_, got, err := c.Get(c.ctx, "a")
		c.must(err)
		if len(page.Items) != 1 || one.ETag == "" || stat.ETag != one.ETag || page.Items[0].ETag != one.ETag || got.ETag != one.ETag ||
			stat.Size != one.Size || page.Items[0].Size != one.Size {
			c.Fatalf("put %+v, stat %+v, list %+v, get %+v", one, stat, page.Items, got)
		}
		two := c.put("a", next, 1)
		if two.ETag == one.ETag {
			c.Fatalf("it is %q before and after a change", one.ETag)
		}
		one = two
	}
}

func badKeys(c *C) {
	for _, key := range []string{
		"", ".", "..", "../a", "a/../b", "a/..", "/a", "/etc/passwd", "a/", "a//b", "./a", "a/./b", `..\a`, `a\b`, "a\x00b", "a\nb", "\xff",
		strings.Repeat("a/", 600) + "a", strings.Repeat("a", 256),
	} {
		_, err := c.Put(c.ctx, key, blob("x", 1))
		_, _, gerr := c.Get(c.ctx, key)
		_, serr := c.Stat(c.ctx, key)
		all := []error{err, gerr, serr, c.Delete(c.ctx, key)}
		if o, ok := c.Store.(objectsync.Conditional); ok {
			_, perr := o.PutIf(c.ctx, key, blob("x", 1), "")
			all = append(all, perr)
		}
		for i, err := range all {
			if !errors.Is(err, objectsync.ErrKey) {
				c.Fatalf("%q: call %d gave %v", key, i, err)
			}
		}
	}
	if got := c.keys("", 100); len(got) != 0 {
		c.Fatalf("%q is there", got)
	}
}

// keys lists all keys, so many a page.
func (c *C) keys(prefix string, limit int) (out []string) {
	after := ""
	for n := 0; ; n++ {
		page, err := c.List(c.ctx, objectsync.ListRequest{Prefix: prefix, After: after, Limit: limit})
		c.must(err)
		if len(page.Items) > limit || n > 100 {
			c.Fatalf("page %d has %d of %d", n, len(page.Items), limit)
		}
		for _, o := range page.Items {
			out = append(out, o.Key)
			after = o.Key
		}
		if !page.More {
			return out
		}
	}
}

func listed(c *C) {
	want := []string{
		"a", "a-b.json", "a.json", "a/b.json", "a/b/c", "a/c.json", "a0", "aa/b", "B", "z/y/x/w", "é", "b/1", "b/10", "b/2", "b-1/x", "p0/x", "p00", "p/x",
	}
	// A file cannot be a folder too, so some go to a folder of their own.
	want = slices.DeleteFunc(want, func(k string) bool { return k == "a" || k == "a/b/c" })
	for _, key := range want {
		c.put(key, key, 1)
	}
	slices.Sort(want)
	for _, limit := range []int{1, 2, 5, 100} {
		if got := c.keys("", limit); !slices.Equal(got, want) {
			c.Fatalf("%d a page: %q, want %q", limit, got, want)
		}
	}
}

func torn(c *C) {
	const size = 200_000
	bodies := []string{strings.Repeat("a", size), strings.Repeat("b", size)}
	c.put("x", bodies[0], 1)
	var (
		wg  sync.WaitGroup
		bad string
	)
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			b, _, err := c.Get(c.ctx, "x")
			if err != nil || string(b.Body) != bodies[0] && string(b.Body) != bodies[1] {
				bad = "a reader saw something else"
				if err != nil {
					bad += ": " + err.Error()
				}
				return
			}
		}
	})
	for i := range 50 {
		c.put("x", bodies[i%2], int64(i))
	}
	close(stop)
	wg.Wait()
	if bad != "" {
		c.Fatalf("%s", bad)
	}
}

func conditional(c *C) {
	s, _ := c.Store.(objectsync.Conditional)
	if s == nil {
		c.Fatalf("the store has no PutIf")
	}
	if _, err := s.PutIf(c.ctx, "a", blob("x", 1), "some-etag"); !errors.Is(err, objectsync.ErrChanged) && !errors.Is(err, objectsync.ErrNotFound) {
		c.Fatalf("a write over what is not there gave %v", err)
	}
	one, err := s.PutIf(c.ctx, "a", blob("x", 1), "")
	c.must(err)
	if _, err := s.PutIf(c.ctx, "a", blob("y", 2), ""); !errors.Is(err, objectsync.ErrChanged) {
		c.Fatalf("a write where nothing was expected gave %v", err)
	}
	two, err := s.PutIf(c.ctx, "a", blob("y", 2), one.ETag)
	c.must(err)
	if _, err := s.PutIf(c.ctx, "a", blob("z", 3), one.ETag); !errors.Is(err, objectsync.ErrChanged) {
		c.Fatalf("a write over another one gave %v", err)
	}
	c.holds("a", "y")
	stat, err := c.Stat(c.ctx, "a")
	if c.must(err); stat.ETag != two.ETag {
		c.Fatalf("ETag %q, want %q", stat.ETag, two.ETag)
	}
}

func contested(c *C) {
	s, _ := c.Store.(objectsync.Conditional)
	if s == nil {
		c.Fatalf("the store has no PutIf")
	}
	old := c.put("a", "old", 1)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		won  []string
		fail error
	)
	for _, body := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		wg.Go(func() {
			_, err := s.PutIf(c.ctx, "a", blob(body, 2), old.ETag)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, body)
			case !errors.Is(err, objectsync.ErrChanged):
				fail = err
			}
		})
	}
	wg.Wait()
	if fail != nil || len(won) != 1 {
		c.Fatalf("%q succeeded, %v", won, fail)
	}
	c.holds("a", won[0])
}
