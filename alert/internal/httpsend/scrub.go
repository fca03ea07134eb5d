package httpsend

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// hidden stands where a secret was.
const hidden = "***"

// Scrubber takes secrets out of texts and errors.
type Scrubber struct{ replacer *strings.Replacer }

// NewScrubber returns a Scrubber of secrets, as they are and as URLs and quoted
// texts write them. One of fewer than four bytes is not searched for: it would
// be found in words that it has nothing to do with.
func NewScrubber(secrets ...string) *Scrubber {
	var forms []string
	for _, s := range secrets {
		quoted := strconv.Quote(s)
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1]} {
			if len(form) >= 4 {
				forms = append(forms, form)
			}
		}
	}
	// The longest first, so that none leaves the rest of another behind.
	slices.SortFunc(forms, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, hidden)
	}
	return &Scrubber{strings.NewReplacer(pairs...)}
}

// Text returns s without secrets.
func (s *Scrubber) Text(t string) string { return s.replacer.Replace(t) }

// Error returns err as an error of doing something that shows no secret. Callers
// can still tell the causes below; err itself cannot be reached, since what it
// holds, a URL for example, may be secret.
func (s *Scrubber) Error(doing string, err error) error {
	// Its text begins with the URL, whose path or query is the token.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	scrubbed := &scrubbedError{text: s.Text(doing + ": " + err.Error())}
	for _, cause := range causes {
		if errors.Is(err, cause) {
			scrubbed.causes = append(scrubbed.causes, cause)
		}
	}
	return scrubbed
}

var causes = []error{
	context.Canceled, context.DeadlineExceeded, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, net.ErrClosed,
}

type scrubbedError struct {
	text   string
	causes []error
}

func (e *scrubbedError) Error() string   { return e.text }
func (e *scrubbedError) Unwrap() []error { return e.causes }
