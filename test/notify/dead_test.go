package notify_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

// A thousand partners who refuse, or take the request and say nothing, with real
// sockets and a real clock.
func TestAThousandDeadTargetsDoNotDelayALiveOne(t *testing.T) {
	for name, dialect := range servers {
		t.Run(name, func(t *testing.T) {
			connect, prefix := database(t, dialect)
			var dead atomic.Int64
			mute := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				dead.Add(1)
				_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the client go
				<-r.Context().Done()
			}))
			defer mute.Close()
			arrived := make(chan time.Time, 1)
			live := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- time.Now() }))
			defer live.Close()
			n, err := notify.New(connect(), notify.Config{
				Prefix: prefix, AllowPrivate: true, Timeout: 5 * time.Second,
			})
			must(t, err)
			put := func(name, url string) {
				must(t, n.PutTarget(t.Context(), notify.Target{Name: name, URL: url, Secrets: []notify.Secret{notify.NewSecret()}}, "ops"))
			}
			add := func(target, id string) {
				_, err := n.Notify(t.Context(), notify.Notification{Target: target, ID: id, Payload: []byte("{}")})
				must(t, err)
			}
			put("live", live.URL)
			refused := "http://" + closed(t)
			var wg sync.WaitGroup
			for part := range 8 {
				wg.Go(func() {
					for i := part; i < 1000; i += 8 {
						target := fmt.Sprint("dead-", i)
						put(target, []string{mute.URL, refused}[i%2])
						add(target, "a")
					}
				})
			}
			wg.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- n.Run(ctx) }()
			var slowest time.Duration
			for i := range 15 {
				at := time.Now()
				add("live", fmt.Sprint(i))
				select {
				case got := <-arrived:
					slowest = max(slowest, got.Sub(at))
				case <-time.After(10 * time.Second):
					t.Fatalf("live notification %d did not arrive within 10 s", i)
				}
				<-time.After(400 * time.Millisecond)
			}
			cancel()
			must(t, <-ended)
			// On virtual time the suite asks for a second. Here the first burst of a thousand attempts is as
			// fast as the database and the machine are (1.6 to 1.8 s on two cores with a load of 12): this
			// bound is what a place that waits for the mute would break.
			if slowest > 4*time.Second {
				t.Errorf("the slowest took %s", slowest)
			}
			if dead.Load() < 500 {
				t.Errorf("%d requests to the mute: the test proves nothing", dead.Load())
			}
			t.Logf("the slowest of 15 took %s, beside %d requests to the mute", slowest, dead.Load())
		})
	}
}

// closed is an address that nobody listens at.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}
