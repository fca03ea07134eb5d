package s3store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/s3store"
	"github.com/sluicegate/sluicegate/internal/outage"
)

func TestWhatIsWrongWithAnAddressIsNamed(t *testing.T) {
	for _, endpoint := range []string{"", "s3.example.com", "ftp://x", "https://", "https://user:secret@x", "https://x/bucket", "https://x?a=b", "https://x y", "%"} {
		_, err := s3store.New(endpoint, "", s3store.Config{})
		if err == nil || !strings.Contains(err.Error(), "endpoint") || !strings.Contains(err.Error(), "bucket") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q gave %v", endpoint, err)
		}
	}
	if _, err := s3store.New("https://cos.ap-guangzhou.myqcloud.com", "shop-125", s3store.Config{}); err != nil {
		t.Error(err)
	}
}

// answers is a service that always gives the same answer.
type answers struct {
	status int
	body   string
	calls  int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls++
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/xml"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}, nil
}

// What a service refuses is one request, and an error that says what it is.
func TestAnswersAreToldApart(t *testing.T) {
	xml := func(code string) string {
		return "<Error><Code>" + code + "</Code><Message>canary " + code + "</Message></Error>"
	}
	for name, c := range map[string]struct {
		status int
		code   string
		is     error
		away   bool
	}{
		"slow down":      {status: 503, code: "SlowDown", away: true},
		"bad gateway":    {status: 502, code: "x", away: true},
		"internal error": {status: 500, code: "InternalError"},
		"no access":      {status: 403, code: "AccessDenied"},
		"no bucket":      {status: 404, code: "NoSuchBucket"},
		"changed":        {status: 412, code: "PreconditionFailed", is: objectsync.ErrChanged},
		"a race":         {status: 409, code: "ConditionalRequestConflict", is: objectsync.ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			a := &answers{status: c.status, body: xml(c.code)}
			s, err := s3store.New("http://127.0.0.1:1", "shop", s3store.Config{
				Credentials: credentials.NewStaticV4("id", "canary", ""), Region: "us-east-1", Transport: a, PathStyle: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.PutIf(t.Context(), "a", objectsync.Blob{Body: []byte("canary")}, "etag")
			if err == nil || outage.Is(err) != c.away || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
			if a.calls != 1 {
				t.Errorf("%d requests, want 1", a.calls)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		s, err := s3store.New("http://127.0.0.1:1", "shop", s3store.Config{
			Credentials: credentials.NewStaticV4("id", "canary", ""), Region: "us-east-1", PathStyle: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := s.Stat(ctx, "a"); !outage.Is(err) {
			t.Errorf("%v is no outage", err)
		}
		if _, err := s.List(ctx, objectsync.ListRequest{Limit: 1}); !outage.Is(err) {
			t.Errorf("%v is no outage", err)
		}
		cancel()
		if _, err := s.Stat(ctx, "a"); outage.Is(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
