package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rule says which bodies of a 2xx mean success, for partners that answer 200 to
// everything. The zero value is any.
type Rule struct {
	// Text are the bodies that do, white space around them left out: "success".
	Text []string `json:"text,omitempty"`
	// Field is a member of a JSON body, with dots between the names: "result.code".
	Field string `json:"field,omitempty"`
	// Values are those of the Field that do, as text: "SUCCESS", "0", "true".
	Values []string `json:"values,omitempty"`
}

func (r Rule) validate() error {
	var errs []error
	if (r.Field == "") != (len(r.Values) == 0) {
		errs = append(errs, invalid("Target.Rule: Field and Values need each other"))
	}
	if r.Field != "" && len(r.Text) > 0 {
		errs = append(errs, invalid("Target.Rule: use Text, or Field and Values"))
	}
	if slices.Contains(strings.Split(r.Field, "."), "") && r.Field != "" {
		errs = append(errs, invalid("Target.Rule.Field: %q has an empty name", r.Field))
	}
	if slices.ContainsFunc(r.Text, func(s string) bool { return s == "" || strings.TrimSpace(s) != s }) {
		errs = append(errs, invalid("Target.Rule.Text: must not be empty, nor have white space around it"))
	}
	if len(r.Text)+len(r.Values) > 16 {
		errs = append(errs, invalid("Target.Rule: %d values, use at most 16", len(r.Text)+len(r.Values)))
	}
	return errors.Join(errs...)
}

func (r Rule) any() bool { return r.Field == "" && len(r.Text) == 0 }

// check returns why a body is no success.
func (r Rule) check(body []byte) error {
	switch {
	case r.any():
		return nil
	case r.Field == "":
		if slices.Contains(r.Text, strings.TrimSpace(string(body))) {
			return nil
		}
		return errors.New("the body of the answer is not one that means success")
	}
	for member := range strings.SplitSeq(r.Field, ".") {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil || members[member] == nil {
			return fmt.Errorf("the answer has no member %q", r.Field)
		}
		body = members[member]
	}
	text := strings.TrimSpace(string(body))
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(body, &text); err != nil {
			return fmt.Errorf("the answer's member %q is no text", r.Field)
		}
	}
	if !slices.Contains(r.Values, text) {
		return fmt.Errorf("the answer's member %q is not one that means success", r.Field)
	}
	return nil
}
