package notify_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

const token = "token-of-the-merchant-0123456789"

// endpoint has two targets with notifications that nobody has tried to deliver.
func endpoint(t *testing.T, cfg notify.Config) (n *notify.Notifier, base string) {
	t.Helper()
	n, _ = open(t, cfg)
	put(t, n, notify.Target{Name: "shop", URL: "https://shop.example", Token: token})
	put(t, n, notify.Target{Name: "other", URL: "https://other.example", Token: "token-of-another-merchant-0123456789"})
	put(t, n, notify.Target{Name: "closed", URL: "https://closed.example"})
	for i := range 5 {
		enqueue(t, n, "shop", fmt.Sprint("order-", i))
		enqueue(t, n, "other", fmt.Sprint("secret-", i))
	}
	s := httptest.NewServer(http.StripPrefix("/partners", n.Endpoint()))
	t.Cleanup(s.Close)
	return n, s.URL + "/partners"
}

func ask(t *testing.T, method, url string, header ...string) (status int, contentType, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	must(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return send(t, req)
}

func send(t *testing.T, req *http.Request) (status int, contentType, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(raw)
}

type listing struct {
	Notifications []struct {
		ID, Status string
		WebhookID  string `json:"webhook_id"`
		Payload    json.RawMessage
		Bytes      []byte `json:"payload_bytes"`
	}
	Next string
}

func TestAPartnerFetchesWhatTheyMissedPageByPage(t *testing.T) {
	n, base := endpoint(t, notify.Config{})
	must(t, n.Confirm(t.Context(), "shop", "order-3", "partner"))
	var ids []string
	query := "?limit=2&since=" + url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339)) + "&until=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
	for cursor := ""; ; {
		status, _, body := ask(t, "GET", base+"/shop/notifications"+query+cursor, "Authorization", "Bearer "+token)
		var page listing
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(page.Notifications) > 2 {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		for _, one := range page.Notifications {
			ids = append(ids, one.ID)
			if string(one.Payload) != `{"id":"`+one.ID+`"}` || !strings.HasPrefix(one.WebhookID, "msg_") {
				t.Errorf("%+v", one)
			}
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if got := strings.Join(ids, " "); got != "order-0 order-1 order-2 order-4" {
		t.Error(got)
	}
	status, _, body := ask(t, "GET", base+"/shop/notifications?status=confirmed", "Authorization", "Bearer "+token)
	if status != 200 || strings.Count(body, `"id":"order-`) != 2 || !strings.Contains(body, "order-3") { // its number, and its payload
		t.Error(status, body)
	}
	past := url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339))
	if status, _, body := ask(t, "GET", base+"/shop/notifications?until="+past, "Authorization", "Bearer "+token); status != 200 || strings.TrimSpace(body) != `{"notifications":[]}` {
		t.Error(status, body)
	}
}

func TestAPageIsBoundedByItsBytesToo(t *testing.T) {
	n, base := endpoint(t, notify.Config{MaxPayload: 4 << 20})
	for i := range 4 {
		what := notify.Notification{Target: "shop", ID: fmt.Sprint("big-", i), ContentType: "text/plain", Payload: make([]byte, 3<<20)}
		if _, err := n.Notify(t.Context(), what); err != nil {
			t.Fatal(err)
		}
	}
	seen, cursor := map[string]int{}, ""
	for pages := 1; ; pages++ {
		status, _, body := ask(t, "GET", base+"/shop/notifications?limit=200"+cursor, "Authorization", "Bearer "+token)
		var page listing
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(body) > 6<<20 {
			t.Fatalf("%d with %d bytes: %v", status, len(body), err)
		}
		for _, one := range page.Notifications {
			seen[one.ID]++
		}
		if page.Next == "" {
			if pages != 4 || len(seen) != 9 {
				t.Errorf("%d pages, %v", pages, seen)
			}
			return
		}
		cursor = "&cursor=" + page.Next
	}
}

func TestAPartnerAsksByNumberAndConfirms(t *testing.T) {
	n, base := endpoint(t, notify.Config{})
	const odd = "a/b ?.. 订单"
	if _, err := n.Notify(t.Context(), notify.Notification{Target: "shop", ID: odd, ContentType: "text/plain", Payload: []byte{0xff}}); err != nil {
		t.Fatal(err)
	}
	at := base + "/shop/notifications/" + url.PathEscape(odd)
	status, kind, body := ask(t, "GET", at, "Authorization", "Bearer "+token)
	if status != 200 || kind != "application/json" || !strings.Contains(body, `"payload_bytes":"/w=="`) || !strings.Contains(body, `"waiting"`) {
		t.Error(status, body)
	}
	for range 2 {
		if status, _, body := ask(t, "POST", at+"/confirm", "Authorization", "Bearer "+token); status != 204 {
			t.Error(status, body)
		}
	}
	if r, err := n.Get(t.Context(), "shop", odd); err != nil || r.Status != notify.Confirmed {
		t.Error(r, err)
	}
	for _, c := range []struct{ method, path string }{{"GET", "/shop/notifications/none"}, {"POST", "/shop/notifications/none/confirm"}, {"GET", "/shop/notifications/secret-1"}} {
		if status, kind, _ := ask(t, c.method, base+c.path, "Authorization", "Bearer "+token); status != 404 || kind != "application/problem+json" {
			t.Errorf("%s: %d %s", c.path, status, kind)
		}
	}
}

func TestNoPartnerSeesAnothersNorAnyoneAnything(t *testing.T) {
	_, base := endpoint(t, notify.Config{})
	for _, path := range []string{"/%s/notifications", "/%s/notifications/secret-1", "/%s/notifications/order-1"} {
		for _, target := range []string{"other", "closed", "nobody"} {
			for name, header := range map[string][]string{
				"nothing": nil, "another's": {"Authorization", "Bearer " + token}, "empty": {"Authorization", "Bearer "}, "basic": {"Authorization", "Basic " + token},
				"bare": {"Authorization", token}, "twice": {"Authorization", "Bearer token-of-another-merchant-0123456789", "Authorization", "Bearer x"},
				"dashes": {"Authorization", "Bearer " + strings.Repeat("-", 64)},
			} {
				status, kind, body := ask(t, "GET", base+fmt.Sprintf(path, target), header...)
				if status != 401 || kind != "application/problem+json" || strings.Contains(body, "secret") || body != refusal(t, base) {
					t.Errorf("%s with %s: %d %s", target, name, status, body)
				}
			}
		}
	}
	if status, _, _ := ask(t, "POST", base+"/other/notifications/secret-1/confirm", "Authorization", "Bearer "+token); status != 401 {
		t.Error(status)
	}
	if status, _, _ := ask(t, "DELETE", base+"/shop/notifications/order-1", "Authorization", "Bearer "+token); status != 405 {
		t.Error(status)
	}
}

// refusal is what everybody gets who has no access.
func refusal(t *testing.T, base string) string {
	t.Helper()
	_, _, body := ask(t, "GET", base+"/shop/notifications")
	return body
}

func TestWhatIsWrongWithAQueryIsNamed(t *testing.T) {
	_, base := endpoint(t, notify.Config{})
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=201": "limit", "limit=x": "limit", "limit=1&limit=2": "limit", "since=yesterday": "since", "until=2026-13-01T00:00:00Z": "until",
		"since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z": "since", "status=lost": "status", "status=": "status", "cursor=1": "cursor", "cursor=a-b": "cursor",
		"cursor=-1-1": "cursor", "target=other": "query", "limit=%zz": "query", "cursor=99999999999999999999-1": "cursor",
	} {
		status, kind, body := ask(t, "GET", base+"/shop/notifications?"+query, "Authorization", "Bearer "+token)
		if status != 400 || kind != "application/problem+json" || !strings.Contains(body, `"detail":"`+field) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/shop/notifications/order-1/confirm", strings.NewReader(strings.Repeat("x", 1<<20)))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if status, _, _ := send(t, req); status != 413 {
		t.Error(status)
	}
}

func TestASignedRequestIsGoodForItselfAndForFiveMinutes(t *testing.T) {
	n, base := endpoint(t, notify.Config{})
	symmetric := notify.NewSecret()
	private, public := notify.NewKeyPair()
	put(t, n, notify.Target{Name: "shop", URL: "https://shop.example", Keys: []notify.Secret{symmetric, notify.Secret(public)}})
	signed := func(path string, at time.Time, key notify.Secret) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		must(t, err)
		must(t, notify.SignRequest(req, nil, "req_1", at, key))
		return req
	}
	const one, all = "/shop/notifications/order-1", "/shop/notifications?limit=1"
	for _, key := range []notify.Secret{symmetric, private} {
		for _, path := range []string{one, all} {
			if status, _, body := send(t, signed(path, time.Now(), key)); status != 200 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	}
	bad := map[string]*http.Request{
		"old": signed(one, time.Now().Add(-6*time.Minute), symmetric), "of the future": signed(one, time.Now().Add(6*time.Minute), symmetric),
		"another key": signed(one, time.Now(), notify.NewSecret()), "for another path": signed(one, time.Now(), symmetric),
		"for another query": signed(all, time.Now(), symmetric), "for another target": signed(one, time.Now(), symmetric), "another method": signed(one, time.Now(), symmetric),
	}
	bad["for another path"].URL.Path = "/partners/shop/notifications/order-2"
	bad["for another query"].URL.RawQuery = "limit=200"
	bad["for another target"].URL.Path = "/partners/other/notifications/order-1"
	bad["another method"].Method = http.MethodPost
	bad["another method"].URL.Path += "/confirm"
	for name, req := range bad {
		if status, _, body := send(t, req); status != 401 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	// The token is no longer there, and the new one of the target is not either.
	if status, _, _ := ask(t, "GET", base+one, "Authorization", "Bearer "+token); status != 401 {
		t.Error(status)
	}
}
