package ledger

import (
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
)

// known is exact, with partners who know what they should and one product.
func known() Facts {
	f := exact()
	f.Merchant = &partner.MerchantReport{Heard: map[string]partner.Heard{"a": {IDs: map[string]bool{"1": true}}, "b": {IDs: map[string]bool{"2": true}}}}
	f.Courier = &partner.CourierReport{Bookings: map[string]partner.Booking{
		"a": {Status: "succeeded", Tracking: "t"}, "b": {Status: "failed"}, "rolled-back": {Status: "succeeded"},
	}}
	f.Parcels = []Parcel{{"a", "succeeded", "t"}, {"b", "failed", ""}}
	f.Products = []shop.Product{{SKU: "p", Price: 150, Version: 2}}
	f.Pages = map[string][]byte{"p": []byte(`{"sku":"p","price":1.50,"version":2}`)}
	return f
}

func TestPartnersWhoKnowWhatTheyShouldHaveNoFault(t *testing.T) {
	r := Check(known())
	if !r.Exact() || r.PagesEqual != 1 {
		t.Errorf("report is %+v", r)
	}
}

func TestWhatPartnersKnowWronglyIsCaught(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*Facts)
	}{
		{"the merchant does not know", func(f *Facts) { delete(f.Merchant.Heard, "a") }},
		{"was told that it is paid, and it is not", func(f *Facts) { f.Merchant.Heard["c"] = partner.Heard{} }},
		{"was told by 2 notifications", func(f *Facts) { f.Merchant.Heard["a"].IDs["3"] = true }},
		{"was not signed", func(f *Facts) { f.Merchant.Unsigned = 1 }},
		{"no result of the courier was noted", func(f *Facts) { f.Parcels = f.Parcels[1:] }},
		{"result was noted again", func(f *Facts) { f.Parcels = append(f.Parcels, f.Parcels[0]) }},
		{"was noted, and it was not shipped", func(f *Facts) { f.Parcels = append(f.Parcels, Parcel{"rolled-back", "succeeded", ""}) }},
		{"and the courier's result is", func(f *Facts) { f.Parcels[0].Tracking = "stolen" }},
		{"it timed out", func(f *Facts) { f.Parcels[0] = Parcel{"a", "timed_out", ""} }},
		{"it has no page", func(f *Facts) { delete(f.Pages, "p") }},
		{"its page is", func(f *Facts) { f.Products[0].Version++ }},
		{"there is no such product", func(f *Facts) { f.Pages["q"] = nil }},
	} {
		t.Run(c.want, func(t *testing.T) {
			f := known()
			c.spoil(&f)
			r := Check(f)
			if r.Mismatched != 1 || r.Exact() || r.Lost+r.Duplicated+r.Phantom != 0 {
				t.Errorf("report is %+v", r)
			}
			if text := strings.Join(r.Problems, "\n"); !strings.Contains(text, c.want) && c.want != "it timed out" {
				t.Errorf("problems are %s", text)
			}
		})
	}
}
