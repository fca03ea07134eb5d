package campaign

import (
	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
)

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

// courierSummary is what became of the calls.
type courierSummary struct {
	CallsEnded       int `json:"calls_ended"`       // parcels whose result the shop has noted
	CallsSent        int `json:"calls_sent"`        // requests that the courier got for them; an early callback spares one
	CallbacksApplied int `json:"callbacks_applied"` // callbacks that brought the result; the others were asked for
	CallbacksParked  int `json:"callbacks_parked"`  // callbacks that were there before their call
	CallbacksLate    int `json:"callbacks_late"`    // callbacks that came twice, or when the result was known
	CallbacksForged  int `json:"callbacks_forged"`  // callbacks that were not the courier's
}

func newCourierSummary(c partner.CourierReport, noted []ledger.Parcel) courierSummary {
	return courierSummary{
		CallsEnded: len(noted), CallsSent: c.Requests, CallbacksApplied: c.Callbacks["applied"], CallbacksParked: c.Callbacks["parked"],
		CallbacksLate: c.Callbacks["repeated"] + c.Callbacks["late"] + c.Callbacks["contradicted"], CallbacksForged: c.Callbacks["401"],
	}
}
