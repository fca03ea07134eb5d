package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluicegate/sluicegate/httpidem"
)

type body struct {
	Customer string  `json:"customer"`
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Amount   float64 `json:"amount"`
}

// post asks for an order once.
func (c *client) post(ctx context.Context, o order) (id string, err error) {
	text, err := json.Marshal(o.body)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/orders", bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(httpidem.DefaultHeader, o.key)
	answer, err := c.send(request, http.StatusCreated)
	if err != nil {
		return "", err
	}
	var created struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &created); err != nil || created.ID == "" {
		return "", errors.New("the shop's answer has no id")
	}
	return created.ID, nil
}

// send sends a request and returns the body of the answer that is wanted.
func (c *client) send(request *http.Request, want int) (answer []byte, err error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if answer, err = io.ReadAll(io.LimitReader(response.Body, 64<<10)); err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode == http.StatusConflict:
		c.conflicts.Add(1)
	case response.Header.Get(httpidem.ReplayedHeader) != "":
		c.replayed.Add(1)
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("the shop answered %s", response.Status)
	}
	return answer, nil
}
