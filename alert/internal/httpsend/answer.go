package httpsend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluicegate/sluicegate/internal/text"
)

// Encode writes v as JSON without turning <, > and & into escapes, which would
// count against the limits of the services.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Codes say what the result codes of a service mean. One that is in none of
// them refuses the notification.
type Codes struct {
	Code, Text string // the members of the answer that hold code and text
	Limited    map[int64]time.Duration
	Broken     []int64
	Failed     []int64
}

// Judge reads an answer with HTTP 200, which says by a code in its body whether
// the message was taken. 0 is success.
func (c *Client) Judge(body []byte, codes Codes) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return c.Failed("the answer is no JSON: " + c.Excerpt(body))
	}
	var given *int64 // null must not pass for 0
	if err := json.Unmarshal(members[codes.Code], &given); err != nil || given == nil {
		return c.Failed("the answer has no number " + codes.Code + ": " + c.Excerpt(body))
	}
	code := *given
	if code == 0 {
		return nil
	}
	var reason string
	if err := json.Unmarshal(members[codes.Text], &reason); err != nil {
		reason = "" // the code says enough
	}
	what := fmt.Sprintf("%s %d: %s", codes.Code, code, c.Excerpt([]byte(reason)))
	if wait, ok := codes.Limited[code]; ok {
		return c.Limited(what, wait)
	}
	switch {
	case slices.Contains(codes.Broken, code):
		return c.Broken(what)
	case slices.Contains(codes.Failed, code):
		return c.Failed(what)
	default:
		return c.Refused(what)
	}
}

// CheckSecret returns what is wrong with a secret in the field of this name,
// without showing it. An empty one is not wrong.
func CheckSecret(field, secret string) error {
	switch {
	case secret == "":
		return nil
	case strings.TrimSpace(secret) != secret:
		return fmt.Errorf("%s: it begins or ends with white space", field)
	case strings.ContainsFunc(secret, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%s: it has a character that no secret has", field)
	default:
		return nil
	}
}

// CheckHeader returns what is wrong with headers, without showing their values.
func CheckHeader(field string, h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			return r > unicode.MaxASCII || r <= ' ' || strings.ContainsRune(":\"(),/;<=>?@[\\]{}", r)
		}) {
			return fmt.Errorf("%s: %q is no name of a header", field, text.Short(name, 40))
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("%s: the value of %s has a control character", field, name)
			}
		}
	}
	return nil
}

// HeaderValues returns what errors must not show of h: the values, and of
// "Bearer TOKEN" the token.
func HeaderValues(h http.Header) []string {
	var all []string
	for _, values := range h {
		for _, value := range values {
			all = append(all, value)
			if _, token, ok := strings.Cut(value, " "); ok {
				all = append(all, token)
			}
		}
	}
	return all
}
