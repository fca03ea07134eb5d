package shop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of an order.
const (
	MaxName     = 100 // characters of customer and sku
	MaxQuantity = 1_000_000
	MaxAmount   = Amount(1_000_000_000_00)
)

// The statuses of an order.
const (
	Placed = "placed"
	Paid   = "paid"
)

// Order is a row of the table orders.
type Order struct {
	ID        string    `json:"id"`
	Customer  string    `json:"customer"`
	SKU       string    `json:"sku"`
	Quantity  int64     `json:"quantity"`
	Amount    Amount    `json:"amount"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
}

// Amount is money in hundredths. In JSON and in the table it is a number with
// at most two decimals.
type Amount int64

// String returns the number: 5, 19.90.
func (a Amount) String() string {
	if a%100 == 0 {
		return strconv.FormatInt(int64(a/100), 10)
	}
	return fmt.Sprintf("%d.%02d", int64(a/100), int64(a%100))
}

// MarshalJSON writes a number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a number that is not negative.
func (a *Amount) UnmarshalJSON(b []byte) (err error) {
	*a, err = parseAmount(string(b))
	return err
}

// Scan reads what the three databases return for a decimal.
func (a *Amount) Scan(v any) (err error) {
	switch v := v.(type) {
	case int64:
		*a = Amount(v * 100)
	case float64:
		*a, err = parseAmount(strconv.FormatFloat(v, 'f', 2, 64))
	case []byte:
		*a, err = parseAmount(string(v))
	case string:
		*a, err = parseAmount(v)
	default:
		err = fmt.Errorf("amount of type %T", v)
	}
	return err
}

var errAmount = errors.New("must be a number with at most two decimals, without an exponent")

func parseAmount(text string) (Amount, error) {
	whole, decimals, dot := strings.Cut(text, ".")
	if dot && (decimals == "" || len(decimals) > 2) {
		return 0, errAmount
	}
	n, err := strconv.ParseUint(whole+(decimals + "00")[:2], 10, 63)
	if err != nil || whole == "" {
		return 0, errAmount
	}
	return Amount(n), nil
}

// FieldError names the field of an order that is wrong.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (e FieldError) Error() string { return e.Field + ": " + e.Detail }

// Validate returns what is wrong with each field that a customer gives.
func (o Order) Validate() []FieldError {
	var bad []FieldError
	for _, f := range []struct{ name, value string }{{"customer", o.Customer}, {"sku", o.SKU}} {
		switch {
		case strings.TrimSpace(f.value) == "":
			bad = append(bad, FieldError{f.name, "is missing or empty"})
		case utf8.RuneCountInString(f.value) > MaxName:
			bad = append(bad, FieldError{f.name, fmt.Sprintf("is longer than %d characters", MaxName)})
		case strings.ContainsFunc(f.value, unreadable):
			bad = append(bad, FieldError{f.name, "has control characters or invalid UTF-8"})
		}
	}
	if o.Quantity < 1 || o.Quantity > MaxQuantity {
		bad = append(bad, FieldError{"quantity", fmt.Sprintf("must be from 1 to %d", MaxQuantity)})
	}
	if o.Amount < 0 || o.Amount > MaxAmount {
		bad = append(bad, FieldError{"amount", fmt.Sprintf("must be from 0 to %s", MaxAmount)})
	}
	return bad
}

func unreadable(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
