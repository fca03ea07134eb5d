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
