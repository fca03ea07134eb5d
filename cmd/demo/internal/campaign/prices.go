package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

const (
	products   = 6
	sellers    = 4   // who change prices, at the same time
	maxChanges = 120 // of prices, in a run
)

// changePrices changes the prices of the products, several at a time, until each
// change is committed.
func (c *client) changePrices(ctx context.Context) error {
	random := rand.New(rand.NewPCG(c.seed, 2))
	type change struct {
		sku   string
		price int
	}
	work := make(chan change)
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range sellers {
		all.Go(func() {
			for ch := range work {
				if err := c.setPrice(ctx, ch.sku, ch.price); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("set price of %s: %w", ch.sku, err))
					mu.Unlock()
				}
			}
		})
	}
	for i := range min(max(c.orders/2, 2*products), maxChanges) {
		n := random.IntN(products)
		if i < products {
			n = i
		}
		work <- change{fmt.Sprintf("%s-product-%d", c.run, n+1), 100 + random.IntN(99_900)}
	}
	close(work)
	all.Wait()
	return errors.Join(errs...)
}

// setPrice sets a price in hundredths, again where the shop says that it has failed.
func (c *client) setPrice(ctx context.Context, sku string, price int) error {
	var err error
	for range tries {
		var request *http.Request
		body := fmt.Appendf(nil, `{"price": %d.%02d}`, price/100, price%100)
		if request, err = http.NewRequestWithContext(ctx, http.MethodPut, c.url+"/products/"+sku, bytes.NewReader(body)); err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		if _, err = c.send(request, http.StatusNoContent); err == nil {
			c.changes.Add(1)
			return nil
		}
		if backoff.Wait(ctx, betweenTries) != nil {
			return err
		}
	}
	return err
}

// readPages reads what is in the folder, past the kit that has written it.
func readPages(folder string) (map[string][]byte, error) {
	pages := map[string][]byte{}
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, path)
		pages[filepath.ToSlash(path)] = body
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	return pages, nil
}

// pages adds to facts what is in the folder, by SKU.
func (r *run) pages(facts *ledger.Facts) error {
	files, err := readPages(r.folder)
	if err != nil {
		return err
	}
	facts.Pages = map[string][]byte{}
	for name, body := range files {
		sku := strings.TrimSuffix(strings.TrimPrefix(name, node.PagePrefix), node.PageSuffix)
		facts.Pages[sku] = body
	}
	return nil
}

// pageSummary is what became of the product pages.
type pageSummary struct {
	PagesEqual    int `json:"pages_equal"`    // product pages that are their row, byte for byte
	PriceChanges  int `json:"price_changes"`  // changes of prices, each with the mark of its page
	Uploads       int `json:"uploads"`        // uploads of pages
	UploadsFailed int `json:"uploads_failed"` // of these, those that failed
}

func (r *run) newPageSummary(equal int) pageSummary {
	s := pageSummary{PagesEqual: equal, PriceChanges: int(r.client.changes.Load())}
	s.Uploads, s.UploadsFailed = r.store.Counts()
	return s
}
