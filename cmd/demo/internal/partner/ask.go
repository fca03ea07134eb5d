package partner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// asker asks the shop for what the merchant missed.
type asker struct {
	merchant *Merchant
	url      string
	token    string
	client   *http.Client
}

// missed is a page of the shop's notifications.
type missed struct {
	Notifications []struct {
		ID        string `json:"id"`
		WebhookID string `json:"webhook_id"`
		Payload   Paid   `json:"payload"`
	} `json:"notifications"`
	Next string `json:"next"`
}

// catchUp asks for all that was missed, page by page, and confirms each, so that
// it is not sent any more.
func (a *asker) catchUp(ctx context.Context) error {
	for cursor := ""; ; {
		query := url.Values{"limit": {"50"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page missed
		if err := a.do(ctx, http.MethodGet, a.url+"?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, n := range page.Notifications {
			if err := a.do(ctx, http.MethodPost, a.url+"/"+url.PathEscape(n.ID)+"/confirm", nil); err != nil {
				return err
			}
			a.merchant.hear(n.Payload.OrderID, n.WebhookID, true)
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

func (a *asker) do(ctx context.Context, method, address string, into any) (err error) {
	request, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode > 299 {
		return fmt.Errorf("the shop answered %s", response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(http.MaxBytesReader(nil, response.Body, 8<<20)).Decode(into)
}
