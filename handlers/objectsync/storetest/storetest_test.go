package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
	"github.com/sluicegate/sluicegate/handlers/objectsync/storetest"
)

func TestMemoryConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{New: func(*testing.T) objectsync.Store { return memstore.New() }, Metadata: true, Conditional: true})
}

// flawed is a memory with a flaw.
type flawed struct {
	*memstore.Store
	put    func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error)
	putIf  func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error)
	get    func(objectsync.Blob, objectsync.Info, error) (objectsync.Blob, objectsync.Info, error)
	stat   func(objectsync.Info, error) (objectsync.Info, error)
	remove func(s *memstore.Store, ctx context.Context, key string) error
	list   func(r objectsync.ListRequest, p objectsync.Page) objectsync.Page
	key    func(string) string
	ctx    bool // looks at no context
}

func (f *flawed) begin(ctx context.Context, key string) (context.Context, string) {
	if f.ctx {
		ctx = context.Background()
	}
	if f.key != nil {
		key = f.key(key)
	}
	return ctx, key
}

func (f *flawed) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	ctx, key = f.begin(ctx, key)
	if f.put != nil {
		return f.put(f.Store, ctx, key, b)
	}
	return f.Store.Put(ctx, key, b)
}

func (f *flawed) PutIf(ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
	ctx, key = f.begin(ctx, key)
	if f.putIf != nil {
		return f.putIf(f.Store, ctx, key, b, etag)
	}
	return f.Store.PutIf(ctx, key, b, etag)
}

func (f *flawed) Get(ctx context.Context, key string) (objectsync.Blob, objectsync.Info, error) {
	ctx, key = f.begin(ctx, key)
	b, i, err := f.Store.Get(ctx, key)
	if f.get != nil {
		return f.get(b, i, err)
	}
	return b, i, err
}

func (f *flawed) Stat(ctx context.Context, key string) (objectsync.Info, error) {
	ctx, key = f.begin(ctx, key)
	i, err := f.Store.Stat(ctx, key)
	if f.stat != nil {
		return f.stat(i, err)
	}
	return i, err
}

func (f *flawed) Delete(ctx context.Context, key string) error {
	ctx, key = f.begin(ctx, key)
	if f.remove != nil {
		return f.remove(f.Store, ctx, key)
	}
	return f.Store.Delete(ctx, key)
}

func (f *flawed) List(ctx context.Context, r objectsync.ListRequest) (objectsync.Page, error) {
	ctx, _ = f.begin(ctx, "")
	p, err := f.Store.List(ctx, r)
	if err == nil && f.list != nil {
		p = f.list(r, p)
	}
	return p, err
}

// flaws has a flaw for each case that must see it.
var flaws = []struct {
	sees string
	flaw flawed
}{
	{"what was put is read back, byte for byte", flawed{get: func(b objectsync.Blob, i objectsync.Info, err error) (objectsync.Blob, objectsync.Info, error) {
		b.Body = bytes.ReplaceAll(b.Body, []byte("\r\n"), []byte("\n"))
		return b, i, err
	}}},
	{"put replaces the whole object", flawed{put: func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
		if old, _, err := s.Get(ctx, key); err == nil && len(old.Body) > len(b.Body) {
			b.Body = append(bytes.Clone(b.Body), old.Body[len(b.Body):]...)
		}
		return s.Put(ctx, key, b)
	}}},
	{"what is not there is ErrNotFound", flawed{stat: func(i objectsync.Info, err error) (objectsync.Info, error) {
		if errors.Is(err, objectsync.ErrNotFound) {
			err = nil
		}
		return i, err
	}}},
	{"delete removes one object, and nothing is nothing", flawed{remove: func(s *memstore.Store, ctx context.Context, key string) error {
		if _, err := s.Stat(ctx, key); err != nil {
			return err
		}
		return s.Delete(ctx, key)
	}}},
	{"put, stat and list tell one ETag, which changes with the bytes", flawed{list: func(_ objectsync.ListRequest, p objectsync.Page) objectsync.Page {
		for i := range p.Items {
			p.Items[i].ETag = `"` + p.Items[i].ETag + `"`
		}
		return p
	}}},
	{"the time of an object is that of its last change", flawed{stat: func(i objectsync.Info, err error) (objectsync.Info, error) {
		i.Modified = i.Modified.Add(-time.Hour)
		return i, err
	}}},
	{"version and hash are kept", flawed{stat: func(i objectsync.Info, err error) (objectsync.Info, error) {
		if i.Version > 1<<53 {
			i.Version = int64(float64(i.Version)) // as through JSON
		}
		return i, err
	}}},
	{"keys that lead elsewhere are refused, and nothing is stored", flawed{key: func(key string) string {
		if key == "./a" {
			return "a"
		}
		return key
	}}},
	{"a list is in the order of bytes, page by page", flawed{list: func(r objectsync.ListRequest, p objectsync.Page) objectsync.Page {
		if r.Limit > 1 {
			slices.Reverse(p.Items)
		}
		return p
	}}},
	{"a list has what begins with the prefix", flawed{list: func(r objectsync.ListRequest, p objectsync.Page) objectsync.Page {
		if r.Prefix == "a" { // as a folder
			p.Items = slices.DeleteFunc(p.Items, func(i objectsync.Info) bool { return i.Key[1] != '/' })
		}
		return p
	}}},
	{"the end of the context ends a call, and nothing is stored", flawed{ctx: true}},
	{"who reads during a write sees the old or the new one, whole", flawed{put: func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
		if key == "x" { // delete first
			if err := s.Delete(ctx, key); err != nil {
				return objectsync.Info{}, err
			}
			<-time.After(5 * time.Millisecond)
		}
		return s.Put(ctx, key, b)
	}}},
	{"a conditional write wants the ETag that is there", flawed{putIf: func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
		if etag != "" {
			return s.Put(ctx, key, b)
		}
		return s.PutIf(ctx, key, b, etag)
	}}},
	{"of conditional writes at once one succeeds", flawed{putIf: func(s *memstore.Store, ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
		if i, err := s.Stat(ctx, key); err == nil && i.ETag != etag { // look, then write
			return objectsync.Info{}, objectsync.ErrChanged
		}
		<-time.After(5 * time.Millisecond)
		return s.Put(ctx, key, b)
	}}},
	{"the declared features are those of the store", flawed{stat: func(i objectsync.Info, err error) (objectsync.Info, error) {
		i.Version = 0
		return i, err
	}}},
}

func TestEachCaseSeesItsFlaw(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range flaws {
		t.Run(f.sees, func(t *testing.T) {
			failing := storetest.Failing(t, storetest.Harness{Metadata: true, Conditional: true, New: func(*testing.T) objectsync.Store {
				s := f.flaw
				s.Store = memstore.New()
				return &s
			}})
			if !slices.Contains(failing, f.sees) {
				t.Errorf("it fails only %q", failing)
			}
		})
		seen[f.sees] = true
	}
	for _, name := range storetest.Names() {
		if !seen[name] {
			t.Errorf("no flaw proves %q", name)
		}
	}
}
