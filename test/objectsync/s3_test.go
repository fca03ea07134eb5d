package objectsync_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/storetest"
)

// s3 is an S3-compatible server on a port of its own, which can be broken.
type s3 struct {
	*httptest.Server
	real http.Handler

	mu     sync.Mutex
	random *rand.Rand // nil: healthy
	puts   int

	refusePuts bool
	atWork     int // PUTs that were read and are not done
}

func startS3(tb testing.TB) *s3 {
	tb.Helper()
	backend := s3mem.New()
	must(tb, backend.CreateBucket(bucket))
	s := &s3{real: gofakes3.New(backend).Server()}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// with changes how the server behaves.
func (s *s3) with(fn func(s *s3)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s)
}

func (s *s3) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts
}

// side returns the URL of another door to the server, at which a PUT waits for hold after it has been read.
func (s *s3) side(tb testing.TB, hold func()) string {
	tb.Helper()
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			s.with(func(s *s3) { s.atWork++ })
			defer s.with(func(s *s3) { s.atWork-- })
			hold()
		}
		s.ServeHTTP(w, r)
	}))
	tb.Cleanup(door.Close)
	return door.URL
}

// idle reports whether no PUT is at work.
func (s *s3) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.atWork == 0
}

// fate is what becomes of a request.
type fate int

const (
	fine   fate = iota
	failed      // 500, not done
	busy        // 503, not done
	cut         // done, and the answer is lost
)

func (s *s3) decide(put bool) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if put {
		s.puts++
		s.atWork++
	}
	f := fine
	if s.refusePuts && put {
		f = failed
	} else if s.random != nil {
		switch n := s.random.IntN(100); {
		case n < 8:
			f = failed
		case n < 12:
			f = busy
		case n < 18:
			f = cut
		}
	}
	return f
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f := s.decide(r.Method == http.MethodPut)
	if r.Method == http.MethodPut {
		defer s.with(func(s *s3) { s.atWork-- })
	}
	switch f {
	case failed:
		http.Error(w, "<Error><Code>InternalError</Code></Error>", http.StatusInternalServerError)
	case busy:
		http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
	case cut:
		s.real.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		s.real.ServeHTTP(w, r)
	}
}

func TestABucketConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{Metadata: true, Conditional: true, New: func(t *testing.T) objectsync.Store {
		t.Helper()
		s, err := bucketAt(startS3(t).URL, false)
		must(t, err)
		return s
	}})
}
