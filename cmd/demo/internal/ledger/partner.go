package ledger

import "github.com/sluicegate/sluicegate/cmd/demo/internal/partner"

// checkMerchant compares what was paid with what the merchant knows.
func (r *Report) checkMerchant(m *partner.MerchantReport, paid map[string]int) {
	if m == nil {
		return
	}
	for id := range paid {
		if _, ok := m.Heard[id]; !ok {
			r.problem(&r.Mismatched, "order %s: it is paid, and the merchant does not know", id)
		}
	}
	for id, h := range m.Heard {
		if paid[id] == 0 {
			r.problem(&r.Mismatched, "order %s: the merchant was told that it is paid, and it is not", id)
		}
		if len(h.IDs) > 1 {
			r.problem(&r.Mismatched, "order %s: the merchant was told by %d notifications", id, len(h.IDs))
		}
	}
	for range m.Unsigned {
		r.problem(&r.Mismatched, "a notification was not signed, or tells of no payment")
	}
}

const shipping = "shipping"

// checkCourier compares what was shipped with what the shop has written down of the
// courier's results, and that with the true ones.
func (r *Report) checkCourier(f Facts, shipped map[string]int) {
	if f.Courier == nil {
		return
	}
	noted := map[string]int{}
	for _, p := range f.Parcels {
		noted[p.Order]++
		if noted[p.Order] > 1 {
			r.problem(&r.Mismatched, "order %s: the courier's result was noted again", p.Order)
		}
		if shipped[p.Order] == 0 {
			r.problem(&r.Mismatched, "order %s: the courier's result was noted, and it was not shipped", p.Order)
		}
		if b := f.Courier.Bookings[p.Order]; b.Status != p.Status || b.Tracking != p.Tracking {
			r.problem(&r.Mismatched, "order %s: noted is %s %q, and the courier's result is %s %q", p.Order, p.Status, p.Tracking, b.Status, b.Tracking)
		}
	}
	for id := range shipped {
		if noted[id] == 0 {
			r.problem(&r.Mismatched, "order %s: it is shipped, and no result of the courier was noted", id)
		}
	}
}
