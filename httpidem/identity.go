package httpidem

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// identify hashes parts so that no two lists of parts are alike: the length before
// each keeps ("a:b", "c") and ("a", "b:c") apart. What a store keeps so tells
// nothing of a key, a token or a client.
func identify(parts ...string) string {
	size := 0
	for _, p := range parts {
		size += len(p) + binary.MaxVarintLen32
	}
	b := make([]byte, 0, size)
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// fingerprint hashes what two repetitions of a request have in common; nothing, where
// any request is one.
func (c Config) fingerprint(r *http.Request, body []byte) string {
	if c.Fingerprint == nil {
		return hashRequest(r, c.FingerprintHeaders, body)
	}
	text := c.Fingerprint(r, body)
	if text == "" {
		return ""
	}
	return identify(text)
}

func hashRequest(r *http.Request, headers []string, body []byte) string {
	b := make([]byte, 0, 256)
	add := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	add(r.Method)
	add(r.URL.EscapedPath())
	add(r.URL.RawQuery)
	for _, name := range headers {
		values := r.Header[name]
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			add(v)
		}
	}
	h := sha256.New()
	_, _ = h.Write(b)
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(b[:0]))
}

var errTooLarge = errors.New("request body is too large")

// takeBody reads the whole body, up to limit bytes; more is errTooLarge.
func takeBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead) // so that the end is found without another growth
	}
	// MaxBytesReader also has the server close a connection that would send more.
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("read request body: %w", err)
	}
	return b.Bytes(), nil
}

// withBody gives r a body that has been read before.
func withBody(r *http.Request, body []byte) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
}
