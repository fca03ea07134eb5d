package httpidem

import (
	"bufio"
	"bytes"
	"maps"
	"net"
	"net/http"
)

// recorder is the ResponseWriter of a guarded handler. It holds the response back
// until send, unless the handler begins a stream: then what is held back goes out,
// and the rest goes through. A strict one never streams.
type recorder struct {
	w      http.ResponseWriter
	max    int
	strict bool

	header   http.Header // the handler's
	status   int         // 0 before WriteHeader
	sent     http.Header // the header as it was at WriteHeader
	body     bytes.Buffer
	streamed bool
	hijacked bool
}

func newRecorder(w http.ResponseWriter, limit int, strict bool) *recorder {
	return &recorder{w: w, max: limit, strict: strict, header: w.Header().Clone()}
}

// Header returns the handler's header.
func (c *recorder) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader notes the status. Informational ones go through at once.
func (c *recorder) WriteHeader(status int) {
	switch {
	case c.status != 0 || c.hijacked:
	case status < 100 || status > 999:
		c.w.WriteHeader(status) // net/http panics, before anything is stored
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		maps.Copy(c.w.Header(), c.header)
		c.w.WriteHeader(status)
	default:
		c.status, c.sent = status, c.Header().Clone()
	}
}

// Write holds p back, or passes it on.
func (c *recorder) Write(p []byte) (int, error) {
	if c.hijacked {
		return 0, http.ErrHijacked
	}
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if !allowsBody(c.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if !c.strict && !c.streamed && c.body.Len()+len(p) > c.max {
		if err := c.stream(); err != nil {
			return 0, err
		}
	}
	if c.streamed {
		return c.w.Write(p)
	}
	return c.body.Write(p)
}

func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// FlushError begins a stream, for http.ResponseController.
func (c *recorder) FlushError() error {
	if c.strict || !supports[http.Flusher](c.w) && !supports[interface{ FlushError() error }](c.w) {
		return http.ErrNotSupported
	}
	if !c.hijacked {
		if err := c.stream(); err != nil {
			return err
		}
	}
	return http.NewResponseController(c.w).Flush()
}

// Flush is FlushError for those who ask for an http.Flusher.
func (c *recorder) Flush() { _ = c.FlushError() }

// Hijack hands the connection over; nothing of the response is stored.
func (c *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if c.strict {
		return nil, nil, http.ErrNotSupported
	}
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	c.hijacked = c.hijacked || err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController, which so reaches the deadlines of the
// connection.
func (c *recorder) Unwrap() http.ResponseWriter { return c.w }

// stream sends what was held back, and has the rest go through.
func (c *recorder) stream() error {
	if c.streamed {
		return nil
	}
	c.streamed = true
	return c.flushHeld()
}

// send sends what was held back, at the end. Where the client has gone away, there
// is nobody to tell.
func (c *recorder) send() {
	if c.hijacked {
		return
	}
	if c.streamed {
		c.trailers()
		return
	}
	_ = c.flushHeld()
	c.trailers()
}

func (c *recorder) flushHeld() error {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	h := c.w.Header()
	clear(h)
	maps.Copy(h, c.sent)
	c.w.WriteHeader(c.status)
	if c.body.Len() == 0 {
		return nil
	}
	_, err := c.w.Write(c.body.Bytes())
	c.body = bytes.Buffer{}
	return err
}

// trailers hands on what the handler has set since its header went out: net/http
// takes the trailers from it and leaves the rest alone.
func (c *recorder) trailers() {
	h := c.w.Header()
	for name, values := range c.header {
		if _, known := c.sent[name]; !known {
			h[name] = values
		}
	}
}

// outcome is what a record keeps of the response.
func (c *recorder) outcome() outcome {
	if c.streamed || c.hijacked || c.body.Len() > c.max {
		return outcome{kind: unrepeated}
	}
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	return outcome{kind: response, status: c.status, header: c.sent, body: c.body.Bytes()}
}

// stored reports whether the response stands for an effect that must not be
// repeated; it is the result of an operation that failed where it is not.
func (c *recorder) stored() bool {
	return c.hijacked || c.status < 500 && c.status != http.StatusTooManyRequests
}

// supports reports whether w, or a writer that it unwraps to, is a T.
func supports[T any](w http.ResponseWriter) bool {
	for {
		if _, ok := w.(T); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}
