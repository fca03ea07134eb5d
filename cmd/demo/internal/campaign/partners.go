package campaign

import "github.com/sluicegate/sluicegate/cmd/demo/internal/partner"

// merchantSummary is what became of the notifications.
type merchantSummary struct {
	MerchantTold   int `json:"merchant_told"`   // orders of whose payment the merchant knows
	MerchantPosts  int `json:"merchant_posts"`  // requests that it took for that
	MerchantMissed int `json:"merchant_missed"` // of these, those that met nobody
	MerchantAsked  int `json:"merchant_asked"`  // payments that the merchant learned of because it asked
}

func newMerchantSummary(m partner.MerchantReport) merchantSummary {
	s := merchantSummary{MerchantTold: len(m.Heard), MerchantPosts: m.Posts, MerchantMissed: m.Missed}
	for _, h := range m.Heard {
		if h.Asked {
			s.MerchantAsked++
		}
	}
	return s
}
