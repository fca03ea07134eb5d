package dirstore_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/dirstore"
	"github.com/sluicegate/sluicegate/handlers/objectsync/storetest"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func open(t *testing.T, dir string) *dirstore.Store {
	t.Helper()
	s, err := dirstore.New(dir)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestAFolderConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{New: func(t *testing.T) objectsync.Store {
		t.Helper()
		return open(t, t.TempDir())
	}})
}

func TestNoSymbolicLinkLeadsOut(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(dir, "link")))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "file")))
	s := open(t, dir)
	if _, err := s.Put(t.Context(), "link/new", objectsync.Blob{Body: []byte("x")}); err == nil {
		t.Error("a link was followed for a write")
	}
	for _, key := range []string{"link/secret", "file"} {
		if b, _, err := s.Get(t.Context(), key); err == nil {
			t.Errorf("%s gave %q", key, b.Body)
		}
	}
	// A file takes the place of a link, and does not go through it.
	_, err := s.Put(t.Context(), "file", objectsync.Blob{Body: []byte("x")})
	must(t, err)
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "s" {
		t.Errorf("%q %v", b, err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

func TestWhatAKilledProcessLeftIsRemovedAndNeverListed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Put(t.Context(), "a/b", objectsync.Blob{Body: []byte("x")})
	must(t, err)
	scratch := filepath.Join(dir, ".sluicegate-tmp")
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "fresh": time.Minute} {
		must(t, os.WriteFile(filepath.Join(scratch, name), []byte("half"), 0o600))
		at := time.Now().Add(-age)
		must(t, os.Chtimes(filepath.Join(scratch, name), at, at))
	}
	again := open(t, dir)
	left, err := os.ReadDir(scratch)
	if must(t, err); len(left) != 1 || left[0].Name() != "fresh" {
		t.Errorf("%v is left", left)
	}
	page, err := again.List(t.Context(), objectsync.ListRequest{Limit: 10})
	if must(t, err); len(page.Items) != 1 || page.Items[0].Key != "a/b" {
		t.Errorf("%+v", page)
	}
	if _, err := again.Stat(t.Context(), ".sluicegate-tmp/fresh"); err == nil {
		t.Error("a key led into the scratch folder")
	}
	if _, err := dirstore.New(""); err == nil {
		t.Error("an empty name was taken")
	}
	if _, err := dirstore.New(filepath.Join(dir, "a", "b")); err == nil {
		t.Error("a file was taken for a folder")
	}
}
