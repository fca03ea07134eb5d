package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/internal/schedule"
)

// Submit writes a call in the transaction tx, and returns its number. It is sent
// once tx has committed; Wake after the commit has that happen at once. ErrInvalid,
// with all that is wrong, and ErrExists leave the transaction as it was; after any
// other error it should be rolled back.
func (c *Caller) Submit(ctx context.Context, tx Executor, call Call) (number string, err error) {
	if tx == nil {
		return "", fmt.Errorf("%w: tx: is nil", ErrInvalid)
	}
	call, host, err := c.normalize(call)
	if err != nil {
		return "", err
	}
	headers, err := json.Marshal(call.Header)
	if err != nil {
		return "", fmt.Errorf("%w: Call.Header: %w", ErrInvalid, err)
	}
	c.known.add(call.Number) // before anything can be answered
	if err := c.table.insert(ctx, tx, call, string(headers)); err != nil {
		return "", fmt.Errorf("submit call: %w", err)
	}
	_, err = c.schedule.AddTx(ctx, tx, schedule.Spec{Queue: c.callQueue(), Target: host, Key: call.Number, Delay: call.SendDelay})
	if err != nil {
		return "", fmt.Errorf("submit call: %w", err)
	}
	return call.Number, nil
}

// normalize returns the call with its defaults, and the host that it goes to.
func (c *Caller) normalize(call Call) (Call, string, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if call.Number == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return Call{}, "", fmt.Errorf("make number of call: %w", err)
		}
		call.Number = id.String()
	} else if err := checkNumber(call.Number); err != nil {
		bad("Call.Number: %w", err)
	}
	if len(call.Kind) > MaxKind || !utf8.ValidString(call.Kind) || strings.Contains(call.Kind, "\x00") {
		bad("Call.Kind: %d bytes, use up to %d of valid UTF-8 without NUL", len(call.Kind), MaxKind)
	}
	if err := c.guard.CheckURL(call.URL); err != nil {
		bad("Call.URL: %w", err)
	}
	orDefault(&call.Method, http.MethodPost)
	if !token.MatchString(call.Method) || len(call.Method) > 32 {
		bad("Call.Method: is no name of a method")
	}
	if len(call.Body) > c.cfg.MaxBody {
		bad("Call.Body: %d bytes, use up to %d", len(call.Body), c.cfg.MaxBody)
	}
	header, err := c.checkHeader(call.Header)
	if err != nil {
		bad("%w", err)
	}
	call.Header = header
	orDefault(&call.Deadline, c.cfg.Deadline)
	orDefault(&call.SendDelay, c.cfg.SendDelay)
	for name, d := range map[string]time.Duration{"Deadline": call.Deadline, "SendDelay": call.SendDelay} {
		if d < 0 || d > maxDuration {
			bad("Call.%s: %v, use up to %v, or 0 for the default", name, d, maxDuration)
		}
	}
	if call.SendDelay >= call.Deadline && call.SendDelay > 0 && call.Deadline > 0 {
		bad("Call.SendDelay: %v is not less than the deadline, %v: it would never be sent", call.SendDelay, call.Deadline)
	}
	if len(errs) > 0 {
		return Call{}, "", fmt.Errorf("%w: %w", ErrInvalid, errors.Join(errs...))
	}
	u, err := url.Parse(call.URL)
	if err != nil {
		return Call{}, "", fmt.Errorf("%w: Call.URL: it cannot be read", ErrInvalid)
	}
	return call, strings.ToLower(u.Hostname()), nil
}

func checkNumber(number string) error {
	if number == "" || len(number) > MaxNumber {
		return fmt.Errorf("%d bytes, use 1 to %d", len(number), MaxNumber)
	}
	if strings.ContainsFunc(number, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("use visible ASCII characters")
	}
	return nil
}

// checkHeader returns the header with its names as HTTP writes them.
func (c *Caller) checkHeader(h map[string]string) (map[string]string, error) {
	var errs []error
	out, size := make(map[string]string, len(h)), 0
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value, as := h[name], textproto.CanonicalMIMEHeaderKey(name)
		size += len(name) + len(value)
		switch _, twice := out[as]; {
		case !slices.Contains(c.cfg.Headers, as):
			errs = append(errs, errors.New("Call.Header: has a name that Config.Headers does not list"))
		case twice:
			errs = append(errs, fmt.Errorf("Call.Header: %s is there twice", as))
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || !utf8.ValidString(value):
			errs = append(errs, fmt.Errorf("Call.Header: the value of %s has a character that no header has", as))
		}
		out[as] = value
	}
	if size > MaxHeaders {
		errs = append(errs, fmt.Errorf("Call.Header: %d bytes, use up to %d", size, MaxHeaders))
	}
	return out, errors.Join(errs...)
}
