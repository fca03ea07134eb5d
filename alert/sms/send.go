package sms

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
	"github.com/sluicegate/sluicegate/alert/template"
)

// Send sends n to every recipient that does not have it yet, and returns the
// first failure after all were tried.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	text := c.text.Render(n, template.Limit{Max: c.cfg.Limit, Size: template.UTF16})
	id := fmt.Sprintf("%s %s %d %d", n.Fingerprint, n.Status, n.At.UnixNano(), n.Count)
	var failure error
	for _, to := range c.to {
		if c.has(id, to) {
			continue
		}
		if err := c.sendTo(ctx, request{To: to, Text: text}); err != nil {
			if failure == nil {
				failure = err
			}
			continue
		}
		c.note(id, to)
	}
	if failure == nil {
		c.note("", "") // all have it; the same, sent again, is meant
	}
	return failure
}

func (c *Channel) has(id, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last == id && c.done[to]
}

func (c *Channel) note(id, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != id {
		c.last = id
		clear(c.done)
	}
	c.done[to] = true
}

func (c *Channel) sendTo(ctx context.Context, r request) error {
	out := httpsend.Request{Method: c.cfg.Method, Query: map[string]string{}, Header: c.cfg.Header, StatusOnly: c.cfg.Accept == ""}
	var b bytes.Buffer
	for name, t := range c.query {
		b.Reset()
		if err := t.Execute(&b, r); err != nil {
			return c.http.Refused("execute Config.Query[" + name + "]")
		}
		out.Query[name] = b.String()
	}
	if c.cfg.Method != http.MethodGet {
		var body bytes.Buffer
		if err := c.body.Execute(&body, r); err != nil {
			return c.http.Refused("execute Config.Body")
		}
		out.Body = body.Bytes()
	}
	answer, err := c.http.Do(ctx, out)
	if err != nil {
		return err
	}
	if c.cfg.Accept != "" && !bytes.Contains(answer.Body, []byte(c.cfg.Accept)) {
		return c.http.Failed("the answer does not contain Config.Accept: " + c.http.Excerpt(answer.Body))
	}
	return nil
}
