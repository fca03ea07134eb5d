package node

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/handlers/callback"
)

// courierHost is a name that leads to the courier wherever it is: a call that was
// written by a process which has ended since reaches the one that is there now.
const courierHost = "http://courier.example"

// callbackConfig is that of the calls to the courier.
func (n *Node) callbackConfig(p *partners) callback.Config {
	c := callback.Config{
		Service: "courier-" + short(n.cfg.Consumer), Topic: shop.Topics(n.cfg.TopicSuffix).Parcels, Encode: encodeParcel,
		Dialect: n.cfg.Database.Dialect(), Keys: []string{p.cfg.Courier.Secret()},
		QueryURL: courierHost + "/courier/bookings/{number}", ReadQuery: readBooking,
		Client: p.client, Alerts: n.alerts, Logger: n.cfg.Logger,
		QueryEvery: 10 * time.Second, // the faked courier forgets with its process
	}
	if p.cfg.Verify != nil {
		c.Keys, c.Verify = nil, p.cfg.Verify
	}
	if p.cfg.Hurry {
		c.QueryEvery, c.Deadline, c.Timeout = 400*time.Millisecond, time.Minute, 5*time.Second
		c.SendDelays = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond}
		c.LookUpEvery, c.PollMax = 50*time.Millisecond, 200*time.Millisecond
	}
	return c
}

// short is a name that fits anywhere.
func short(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// toDoor leads every request to the partners in this process.
func (p *partners) toDoor() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(p.door.url, "http://"))
		},
	}}
}

// readBooking has what the courier has never heard of be sent again.
func readBooking(r callback.Response) (callback.Result, error) {
	if r.StatusCode == http.StatusNotFound {
		return callback.Result{}, callback.ErrUnknown
	}
	return callback.ReadJSON(r)
}

// encodeParcel makes the message of a result.
func encodeParcel(e callback.Ended) ([]byte, error) {
	var b partner.Booking
	if e.Result.Data != nil {
		if err := json.Unmarshal(e.Result.Data, &b); err != nil {
			return nil, fmt.Errorf("read booking: %w", err)
		}
	}
	return json.Marshal(shop.Parcel{OrderID: e.Number, SKU: b.SKU, Status: string(e.Result.Status), Tracking: b.Tracking})
}

// Shipped has the courier be asked for a parcel once tx commits. The order's id is
// the number of the call; one that is there already is not made again.
func (p *partners) Shipped(ctx context.Context, tx *sql.Tx, orders []shop.Order) error {
	for _, o := range orders {
		body, err := json.Marshal(partner.Parcel{OrderID: o.ID, SKU: o.SKU})
		if err != nil {
			return fmt.Errorf("encode parcel: %w", err)
		}
		_, err = p.caller.Submit(ctx, tx, callback.Call{
			Number: o.ID, Kind: "parcel", URL: courierHost + "/courier/bookings",
			Header: map[string]string{"Content-Type": "application/json"}, Body: body,
		})
		if err != nil && !errors.Is(err, callback.ErrExists) {
			return err
		}
		p.cfg.Courier.Announce(o.ID, o.SKU)
	}
	return nil
}

// courierParts are those that ask the courier.
func (p *partners) courierParts() []part {
	if p == nil {
		return nil
	}
	return []part{{"callback", p.caller.Run}, {"courier", p.cfg.Courier.Run}}
}

// booked reports whether every call has ended, and every result was handled.
func (n *Node) booked(ctx context.Context) (bool, error) {
	calls, err := n.partners.caller.Counts(ctx)
	if err != nil {
		return false, err
	}
	if calls[callback.Waiting]+calls[callback.Sent] > 0 {
		return false, nil
	}
	var handled int64
	err = n.db.QueryRowContext(ctx, n.cfg.Database.Dialect().Bind("SELECT COUNT(DISTINCT order_id) FROM parcels WHERE order_id LIKE ?"), n.cfg.IDPrefix+"%").Scan(&handled)
	if err != nil {
		return false, fmt.Errorf("count parcels: %w", err)
	}
	return handled >= calls[callback.Succeeded]+calls[callback.Failed]+calls[callback.TimedOut], nil
}
