package alerttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/sluicegate/sluicegate/alert"
)

// Echo in the Body of an Answer becomes, as JSON has it, the address and the
// headers of the request: a service that quotes what it got.
const Echo = "ECHO"

// Answer is what a service answers.
type Answer struct {
	Status int // default 200
	Header map[string]string
	Body   string
}

// HTTP is the service of a Sender over HTTP.
type HTTP struct {
	// New returns a Sender to a server at base, "http://127.0.0.1:port", which
	// uses client.
	New func(base string, client *http.Client) (alert.Sender, error)
	// Answers says how it answers where it behaves as the fault says; Healthy,
	// Busy, Limited, Broken and Refused are needed unless the Harness lacks them.
	Answers map[Fault]Answer
	// Text returns what people read in a request.
	Text func(r *http.Request, body []byte) (string, error)
}

// Open is for Harness.Open.
func (s HTTP) Open(t T) Service {
	server := &server{spec: s, fault: Healthy, end: make(chan struct{})}
	listener := httptest.NewServer(server)
	server.close = sync.OnceFunc(func() { close(server.end); listener.Close() })
	transport := &http.Transport{}
	t.Cleanup(func() { server.close(); transport.CloseIdleConnections() })
	sender, err := s.New(listener.URL, &http.Client{Transport: roundTripper{server, transport}})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return Service{Sender: sender, Received: server.texts, Behave: server.behave}
}

type server struct {
	spec  HTTP
	end   chan struct{}
	close func()

	mu       sync.Mutex
	fault    Fault
	received []string
}

func (s *server) behave(f Fault) {
	s.mu.Lock()
	s.fault = f
	s.mu.Unlock()
	if f == Unreachable {
		s.close()
	}
}

func (s *server) now() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *server) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fault := s.now()
	switch fault {
	case Silent:
		select {
		case <-s.end:
		case <-r.Context().Done():
		}
		return
	case Cut:
		panic(http.ErrAbortHandler)
	case Redirect:
		if strings.HasSuffix(r.URL.Path, "/elsewhere") {
			s.accept("followed")
		}
		w.Header().Set("Location", "/elsewhere?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	case Endless:
		s.endless(w, r)
		return
	case Healthy:
		text, err := s.spec.Text(r, body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		s.accept(text)
	default: // as Answers say
	}
	answer, ok := s.spec.Answers[fault]
	if !ok && fault == Garbage {
		answer = Answer{Body: "<html>" + Echo + "</html>"}
	}
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(max(answer.Status, http.StatusOK))
	fmt.Fprint(w, strings.ReplaceAll(answer.Body, Echo, echo(r, body)))
}

func (s *server) accept(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, text)
}

// endless answers more than anybody can hold, or until nobody listens.
func (s *server) endless(w http.ResponseWriter, r *http.Request) {
	chunk := bytes.Repeat([]byte(" "), 1<<16)
	for range 1 << 14 { // 1 GiB
		select {
		case <-s.end:
			return
		case <-r.Context().Done():
			return
		default:
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func echo(r *http.Request, body []byte) string {
	quoted, err := json.Marshal(fmt.Sprint(r.URL.String(), " ", r.Header))
	if err != nil {
		return err.Error()
	}
	return string(quoted[1 : len(quoted)-1])
}

// roundTripper fails on the way where the fault is Leaking.
type roundTripper struct {
	server *server
	base   *http.Transport
}

func (rt roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if rt.server.now() == Leaking {
		if r.Body != nil {
			r.Body.Close() // as a RoundTripper must
		}
		return nil, errors.New("no route for " + r.URL.String() + fmt.Sprint(" ", r.Header))
	}
	return rt.base.RoundTrip(r)
}

func (rt roundTripper) CloseIdleConnections() { rt.base.CloseIdleConnections() }
