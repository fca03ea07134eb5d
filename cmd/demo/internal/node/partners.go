package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/handlers/notify"
)

// Partners are those that the shop works with, faked in the process of the role
// that has to do with them.
type Partners struct {
	Merchant *partner.Merchant // of payment
	Courier  *partner.Courier  // of shipping
	// Hurry has everything be tried again within a second, in place of minutes.
	Hurry bool
	// Verify takes the place of the look at a callback's signature. Default: none does.
	Verify func(r *http.Request, body []byte) error
	// Break stands between the shop and what it tells. Default: nothing.
	Break func(shop.Partners) shop.Partners
}

// partners is the shop's side of them.
type partners struct {
	cfg      Partners
	consumer string
	door     *door
	token    string // the merchant's access to its notifications
	notifier *notify.Notifier
	caller   *callback.Caller
	client   *http.Client // to the courier
}

// openPartners opens the door and connects to nothing.
func (n *Node) openPartners(ctx context.Context) (err error) {
	if n.cfg.Partners == nil {
		return nil
	}
	p := &partners{cfg: *n.cfg.Partners, consumer: n.cfg.Consumer, token: rand.Text()}
	p.client = p.toDoor()
	if p.notifier, err = notify.New(n.db, n.notifyConfig()); err != nil {
		return err
	}
	if p.caller, err = callback.New(n.db, n.box, n.callbackConfig(p)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /merchant", p.cfg.Merchant)
	mux.Handle("/partners/", http.StripPrefix("/partners", p.notifier.Endpoint()))
	mux.Handle("/courier/", p.cfg.Courier)
	mux.Handle("/callbacks/courier", p.caller)
	if p.door, err = openDoor(ctx, mux); err != nil {
		return err
	}
	p.cfg.Courier.CallsBackAt(p.door.url + "/callbacks/courier")
	n.partners = p
	return nil
}

// forShop is what the shop tells its partners by.
func (p *partners) forShop() shop.Partners {
	if p == nil {
		return nil
	}
	if p.cfg.Break != nil {
		return p.cfg.Break(p)
	}
	return p
}

// wake has what a service has committed go out at once.
func (p *partners) wake(service string) {
	switch {
	case p == nil:
	case service == string(role.Payment):
		p.notifier.Wake()
	case service == string(role.Shipping):
		p.caller.Wake()
	}
}

// merchant is what the merchant is called: one for each shop on a database.
func (p *partners) merchant() string { return p.consumer + "-merchant" }

func (p *partners) close() error {
	if p == nil {
		return nil
	}
	err := p.door.close()
	p.client.CloseIdleConnections()
	return err
}

// PartnersIdle reports whether nobody is still to be told of anything, and no page
// to be written.
func (n *Node) PartnersIdle(ctx context.Context) (bool, error) {
	p := n.partners
	if p == nil {
		return true, nil
	}
	told, err := p.notifier.Counts(ctx, p.merchant())
	if err != nil {
		return false, fmt.Errorf("count notifications: %w", err)
	}
	if told[notify.Waiting]+told[notify.Held] > 0 {
		return false, nil
	}
	if booked, err := n.booked(ctx); err != nil || !booked {
		return false, err
	}
	return n.pagesIdle(ctx)
}

// part is something that a role runs.
type part struct {
	name string
	run  func(context.Context) error
}

// merchantParts are those that tell the merchant.
func (p *partners) merchantParts() []part {
	if p == nil {
		return nil
	}
	return []part{
		{"notify", p.tellMerchant},
		{"merchant", func(ctx context.Context) error {
			return p.cfg.Merchant.Run(ctx, p.door.url+"/partners/"+p.merchant()+"/notifications", p.token)
		}},
	}
}

func (p *partners) tellMerchant(ctx context.Context) error {
	err := p.notifier.PutTarget(ctx, notify.Target{
		Name: p.merchant(), URL: p.door.url + "/merchant",
		Secrets: []notify.Secret{notify.Secret(p.cfg.Merchant.Secret())}, Token: notify.Secret(p.token),
	}, "demo")
	if err != nil && ctx.Err() == nil {
		return err
	}
	return p.notifier.Run(ctx)
}
