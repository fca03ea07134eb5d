package callback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// report is what ParseJSON and ReadJSON read.
type report struct {
	Number *string         `json:"number"`
	Status Status          `json:"status"`
	Code   string          `json:"code"`
	Reason string          `json:"reason"`
	Data   json.RawMessage `json:"data"`
}

// decode reads one JSON object and nothing after it. The names of fields count as
// they are written: what a service calls "Status" is not its status. A name that is
// there twice is refused, since two readers could take different ones.
func decode(body []byte) (report, error) {
	fields, err := object(body)
	if err != nil {
		return report{}, err
	}
	var r report
	for name, dst := range map[string]any{"number": &r.Number, "status": &r.Status, "code": &r.Code, "reason": &r.Reason} {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, dst); err != nil {
			return report{}, fmt.Errorf("%q is not a string", name)
		}
	}
	if data, ok := fields["data"]; ok && string(data) != "null" {
		r.Data = data
	}
	return r, nil
}

func object(body []byte) (map[string]json.RawMessage, error) {
	notJSON := errors.New("it is not one JSON object")
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notJSON
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, notJSON
		}
		if _, twice := fields[name]; twice {
			return nil, errors.New("a field is there twice")
		}
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil, notJSON
		}
		fields[name] = raw
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, notJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, notJSON
	}
	return fields, nil
}

func (r report) result() (Result, error) {
	switch r.Status {
	case Pending, Succeeded, Failed:
		return Result{Status: r.Status, Code: r.Code, Reason: r.Reason, Data: r.Data}, nil
	default:
		return Result{}, fmt.Errorf("%q is not pending, succeeded or failed", "status")
	}
}

// ParseJSON reads a callback of the form
//
//	{"number": "…", "status": "pending|succeeded|failed", "code": "…", "reason": "…", "data": …}
//
// of which number and status are required, and other fields are ignored.
func ParseJSON(_ *http.Request, body []byte) (string, Result, error) {
	r, err := decode(body)
	if err != nil {
		return "", Result{}, err
	}
	if r.Number == nil {
		return "", Result{}, fmt.Errorf("%q is missing", "number")
	}
	result, err := r.result()
	return *r.Number, result, err
}

// ReadJSON reads the answer to a query: 2xx with the form of ParseJSON, in which
// the number is not required. Any other answer is an error: also 404, since a service may
// know a call later than it has accepted it.
func ReadJSON(r Response) (Result, error) {
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return Result{}, &AnswerError{StatusCode: r.StatusCode}
	}
	said, err := decode(r.Body)
	if err != nil {
		return Result{}, fmt.Errorf("answer to the query: %w", err)
	}
	return said.result()
}

// ReadAccepted reads the answer to the request itself: 2xx has accepted it, and so
// has 409, which says that a request with this Idempotency-Key is there already. 408,
// 425 and 429, and all but 4xx, are errors; other 4xx refuse the call for good: Failed, with the
// code "http_422" and so on.
func ReadAccepted(r Response) (Result, error) {
	switch code := r.StatusCode; {
	case code >= 200 && code <= 299, code == http.StatusConflict:
		return Result{Status: Pending}, nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests,
		code < 400, code > 499:
		return Result{}, &AnswerError{StatusCode: code}
	default:
		return Result{Status: Failed, Code: fmt.Sprintf("http_%d", code), Reason: "the service has refused the request"}, nil
	}
}

// AnswerError says that an answer was not a result.
type AnswerError struct{ StatusCode int }

func (e *AnswerError) Error() string { return fmt.Sprintf("answered with status %d", e.StatusCode) }
