package command

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A key is an order's, and a product's page follows its row; the partners that a shop
// has are told and asked.
func TestServeTakesAKeyOnceAndKeepsPages(t *testing.T) {
	folder := t.TempDir()
	l, stop := serve(t, "--database", "sqlite://"+filepath.Join(folder, "shop.db"), "--objects", filepath.Join(folder, "pages"))
	defer stop()
	url := l.find(t, `url=(\S+)`)
	l.find(t, `msg=ready`)
	for _, part := range []string{"notify", "merchant", "callback", "courier", "parcels", "pages"} {
		l.find(t, `msg="role begins" pid=\d+ role=`+part)
	}
	first, replayed := placeWithKey(t, url)
	second, replayedSecond := placeWithKey(t, url)
	if first != second || replayed || !replayedSecond {
		t.Errorf("answers are %s (replayed: %t) and %s (replayed: %t)", first, replayed, second, replayedSecond)
	}
	for _, price := range []string{"1", "2.50"} {
		if code, text := request(t, "PUT", url+"/products/lamp", `{"price": `+price+`}`); code != http.StatusNoContent {
			t.Fatalf("price is answered %d %s", code, text)
		}
	}
	for body, path := range map[string]string{`{"price": -1}`: "lamp", `{"cost": 1}`: "lamp", `{}`: "lamp", `{"price": 2}`: ".."} {
		if code, _ := request(t, "PUT", url+"/products/"+strings.ReplaceAll(path, ".", "%2E"), body); code < 400 || code > 499 {
			t.Errorf("%s for %s is answered %d", body, path, code)
		}
	}
	within := time.NewTimer(20 * time.Second)
	defer within.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for page := ""; page != `{"sku":"lamp","price":2.50,"version":2}`; page = readFile(folder + "/pages/products/lamp.json") {
		select {
		case <-within.C:
			t.Fatalf("the page is %q", page)
		case <-tick.C:
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, l)
	}
}

func readFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "" // not yet
	}
	return string(text)
}

func placeWithKey(t *testing.T, url string) (answer string, replayed bool) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/orders", strings.NewReader(`{"customer": "a", "sku": "s", "quantity": 1, "amount": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "k-1")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s: %v", response.StatusCode, text, err)
	}
	return string(text), response.Header.Get("Idempotency-Replayed") != ""
}
