package alerttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Request is one that a service got.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// Capture starts a service that gives the same answer to every request, and
// returns its address and what it got.
func Capture(t T, answer Answer) (base string, got func() []Request) {
	t.Helper()
	var mu sync.Mutex
	var all []Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		all = append(all, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Body: body})
		mu.Unlock()
		for name, value := range answer.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(max(answer.Status, http.StatusOK))
		fmt.Fprint(w, answer.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []Request {
		mu.Lock()
		defer mu.Unlock()
		return append([]Request(nil), all...)
	}
}

// Golden compares got with the file testdata/name, line ends at its end aside.
// With UPDATE_GOLDEN=1 in the environment it writes the file.
func Golden(t T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatalf("create testdata: %v", err)
		}
		if err := os.WriteFile(path, append(bytes.TrimRight(got, "\n"), '\n'), 0o600); err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	if w, g := strings.TrimRight(string(want), "\n"), strings.TrimRight(string(got), "\n"); w != g {
		t.Errorf("%s differs:\ngot  %s\nwant %s", name, g, w)
	}
}

// Refuses checks that err names each of the fields and shows no secret.
func Refuses(t T, err error, secrets []string, fields ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("New accepts it, though %s is wrong", strings.Join(fields, " and "))
		return
	}
	for _, field := range fields {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}
