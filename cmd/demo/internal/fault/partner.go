package fault

import (
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
)

// merchantAway is for how long the merchant is: longer than the attempts at once.
const merchantAway = 700 * time.Millisecond

// Merchant is how the merchant of a run of so many orders behaves: it is away from
// somewhere in its second quarter on.
func (p Plan) Merchant(orders int) partner.MerchantConfig {
	random := rand.New(rand.NewPCG(p.seed, 100))
	return partner.MerchantConfig{AwayAfter: orders/4 + random.IntN(orders/4+1), AwayFor: merchantAway}
}

// courierLate is by how much a callback is that the shop does not wait for.
const courierLate = 900 * time.Millisecond

// manners are how the courier calls back for what a kind hits; the first counts.
var manners = []struct {
	kind   Kind
	manner partner.Manner
}{
	{CallEarly, partner.Early}, {CallAtOnce, partner.AtOnce}, {CallTwice, partner.Twice}, {CallLate, partner.Late},
	{CallForged, partner.Forged}, {CallNever, partner.Never}, {CallAway, partner.Away},
}

// Courier is how the courier of a run behaves.
func (p Plan) Courier() partner.CourierConfig {
	return partner.CourierConfig{
		LateBy:   courierLate,
		Declines: func(sku string) bool { return p.Hits(CallDeclined, sku) },
		Manner: func(sku string) partner.Manner {
			for _, m := range manners {
				if p.Hits(m.kind, sku) {
					return m.manner
				}
			}
			return partner.Prompt
		},
	}
}
