package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// problem is an answer of RFC 9457.
type problem struct {
	Title   string       `json:"title"`
	Status  int          `json:"status"`
	Detail  string       `json:"detail,omitempty"`
	Errors  []FieldError `json:"errors,omitempty"`
	Reasons any          `json:"reasons,omitempty"` // of /readyz
}

func writeProblem(w http.ResponseWriter, p problem) {
	p.Title = http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}")
	}
	setHeaders(w, "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// readOrder reads the body of POST /orders. Unlike encoding/json it takes each
// field once, under its exact name, and nothing after the object: what a client
// meant by anything else is not for a shop to guess.
func readOrder(w http.ResponseWriter, r *http.Request) (Order, *problem) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return Order{}, &problem{Status: http.StatusUnsupportedMediaType, Detail: "send Content-Type: application/json"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Order{}, &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	case err != nil:
		return Order{}, &problem{Status: http.StatusBadRequest, Detail: "the body ended early"}
	case !utf8.Valid(body):
		return Order{}, &problem{Status: http.StatusBadRequest, Detail: "the body is not in UTF-8"}
	}
	o, bad, err := decodeOrder(body)
	if err != nil {
		return Order{}, &problem{Status: http.StatusBadRequest, Detail: err.Error()}
	}
	if len(bad) > 0 {
		return Order{}, &problem{Status: http.StatusUnprocessableEntity, Detail: "the order cannot be taken", Errors: bad}
	}
	return o, nil
}

var orderFields = []string{"customer", "sku", "quantity", "amount"}

func decodeOrder(body []byte) (Order, []FieldError, error) {
	fields, bad, err := objectFields(body)
	if err != nil {
		return Order{}, nil, err
	}
	var o Order
	read := func(name string, into any, want string) {
		raw, ok := fields[name]
		if !ok {
			bad = append(bad, FieldError{name, "is missing"})
		} else if err := json.Unmarshal(raw, into); err != nil || string(raw) == "null" {
			bad = append(bad, FieldError{name, want})
		}
	}
	read("customer", &o.Customer, "must be a text")
	read("sku", &o.SKU, "must be a text")
	read("quantity", (*wholeNumber)(&o.Quantity), fmt.Sprintf("must be a whole number from 1 to %d", MaxQuantity))
	read("amount", &o.Amount, errAmount.Error()+fmt.Sprintf(", from 0 to %s", MaxAmount))
	named := map[string]bool{}
	for _, b := range bad {
		named[b.Field] = true
	}
	for _, b := range o.Validate() {
		if !named[b.Field] {
			bad = append(bad, b)
		}
	}
	return o, bad, nil
}

// wholeNumber is an integer without a fraction or an exponent, which JSON's
// numbers may have, and of which float64 would make another number.
type wholeNumber int64

func (n *wholeNumber) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(b), 10, 64)
	*n = wholeNumber(v)
	return err
}

// objectFields splits one JSON object. An error says that it is none.
func objectFields(body []byte) (map[string]json.RawMessage, []FieldError, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	broken := errors.New("the body is not one JSON object: it is cut short or has an error in it")
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, nil, broken
	}
	fields, seen := map[string]json.RawMessage{}, map[string]bool{}
	var bad []FieldError
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, nil, broken
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, nil, broken
		}
		switch {
		case seen[name]:
			bad = append(bad, FieldError{name, "is given more than once"})
		case !known(name):
			bad = append(bad, FieldError{clip(name), "is unknown: " + suggest.Hint(clip(name), orderFields...)})
		}
		seen[name], fields[name] = true, raw
	}
	if _, err := decoder.Token(); err != nil {
		return nil, nil, broken
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is something after the JSON object: send one")
	}
	return fields, bad, nil
}

func known(name string) bool { return slices.Contains(orderFields, name) }

// clip keeps a hostile name short.
func clip(name string) string {
	if r := []rune(name); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return name
}
