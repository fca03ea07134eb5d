package notify

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// maxRequest bounds the body of a request to the Endpoint, which needs none.
const maxRequest = 64 << 10

var errUnauthorized = errors.New("unauthorized")

// authorized answers for those only who have access to the target of the path.
func (n *Notifier) authorized(next func(w http.ResponseWriter, r *http.Request, target string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "the body is too large, or did not arrive")
			return
		}
		target := r.PathValue("target")
		switch err := n.authorize(r, target, body); {
		case errors.Is(err, errUnauthorized):
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "no access to this target")
		case err != nil:
			n.refuse(w, err)
		default:
			next(w, r, target)
		}
	}
}

// authorize returns errUnauthorized where a request has no access to the target. That there
// is no such target, or none with access, is answered alike and takes as long.
func (n *Notifier) authorize(r *http.Request, target string, body []byte) error {
	a, err := n.access(r.Context(), target)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if values := r.Header.Values("Authorization"); len(values) == 1 {
		token, ok := strings.CutPrefix(values[0], "Bearer ")
		given, want := tokenHash(token), a.Token
		if want == "" {
			want = strings.Repeat("-", len(given)) // no hash is that
		}
		if subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1 && ok {
			return nil
		}
		return errUnauthorized
	}
	if len(a.Keys) == 0 {
		return errUnauthorized
	}
	v, err := webhook.NewVerifier(0, a.Keys...)
	if err != nil {
		return errDamaged
	}
	if _, _, err := v.Verify(r.Header, signedRequest(r.Method, r.RequestURI, body), n.clock()); err != nil {
		return errUnauthorized
	}
	return nil
}

// signedRequest is what takes the place of the body in the signature of a request.
func signedRequest(method, uri string, body []byte) []byte {
	return append([]byte(method+" "+uri+"\n"), body...)
}

// SignRequest signs a request to an Endpoint as a partner does, with a key of which the
// target has the same ("whsec_…") or the public half ("whsk_…"), at the time now. The body is
// the request's, which is not read.
func SignRequest(r *http.Request, body []byte, id string, now time.Time, key Secret) error {
	signer, err := webhook.NewSigner(string(key))
	if err != nil {
		return invalid("key: %w", err)
	}
	h, err := signer.Header(id, now, signedRequest(r.Method, r.URL.RequestURI(), body))
	if err != nil {
		return invalid("id: %w", err)
	}
	maps.Copy(r.Header, h)
	return nil
}

func (n *Notifier) access(ctx context.Context, target string) (access, error) {
	return one(ctx, n, "SELECT access FROM {target} WHERE name = ?", []any{target}, func(row dbtx.Row) (a access, err error) {
		var raw string
		if err := row.Scan(&raw); err != nil {
			return a, err
		}
		if json.Unmarshal([]byte(raw), &a) != nil {
			return access{}, errDamaged // the reason could show a key
		}
		return a, nil
	})
}

// refuse answers an error.
func (n *Notifier) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		problem(w, http.StatusNotFound, "there is no such notification")
	case errors.Is(err, ErrInvalid):
		problem(w, http.StatusBadRequest, err.Error())
	case failure.IsUnavailable(err):
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "try again later")
	default:
		n.cfg.Logger.Error("request of a partner failed", "error", err)
		problem(w, http.StatusInternalServerError, "try again later")
	}
}

// problem answers a problem document (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	answer(w, status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

func answer(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // of what only we put together
		status, contentType, body = http.StatusInternalServerError, "application/problem+json", []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // to a reader who may be gone
}
