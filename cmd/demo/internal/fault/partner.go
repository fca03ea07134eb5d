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
