package ledger

import (
	"bytes"
	"encoding/json"
)

// checkPages compares the pages of the products with the rows, byte for byte.
func (r *Report) checkPages(f Facts) {
	if f.Pages == nil {
		return
	}
	rows := map[string]bool{}
	for _, p := range f.Products {
		rows[p.SKU] = true
		want, err := json.Marshal(p)
		page, ok := f.Pages[p.SKU]
		switch {
		case err != nil:
			r.problem(&r.Mismatched, "product %s: %v", p.SKU, err)
		case !ok:
			r.problem(&r.Mismatched, "product %s: it has no page", p.SKU)
		case !bytes.Equal(page, want):
			r.problem(&r.Mismatched, "product %s: its page is %s, and its row %s", p.SKU, page, want)
		default:
			r.PagesEqual++
		}
	}
	for sku := range f.Pages {
		if !rows[sku] {
			r.problem(&r.Mismatched, "page %s: there is no such product", sku)
		}
	}
}
