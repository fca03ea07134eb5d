package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// pageBytes bounds the payloads of one page of the Endpoint.
const pageBytes = 4 << 20

// Endpoint returns a handler for partners; mount it behind http.StripPrefix. Each request
// is of one target, by its access (Target.Token, Target.Keys); any other is
// answered 401, whether there is such a target or not.
//
//	GET  /{target}/notifications               since, until (RFC 3339), status, limit, cursor
//	GET  /{target}/notifications/{id}          by request number
//	POST /{target}/notifications/{id}/confirm  the partner knows: nothing more is sent
//
// The first answers {"notifications": […], "next": "…"}, the oldest first; next is
// the cursor of the page after, and missing where there is none. Without status it returns all but those delivered or
// confirmed: what was missed. Names with a slash are written with %2F. What is wrong is told by a problem document (RFC 9457).
//
// A signed request has the three headers of Standard Webhooks, over the method, a space, the
// request's target as it is sent ("/partners/shop/notifications?limit=5"), a line feed and the body.
// It is good for five minutes; what it asks for may be asked for again within them.
func (n *Notifier) Endpoint() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{target}/notifications", n.authorized(n.serveList))
	mux.HandleFunc("GET /{target}/notifications/{id}", n.authorized(n.serveOne))
	mux.HandleFunc("POST /{target}/notifications/{id}/confirm", n.authorized(n.serveConfirm))
	return mux
}

// item is a notification as partners see it.
type item struct {
	ID          string          `json:"id"`
	WebhookID   string          `json:"webhook_id"`
	Type        string          `json:"type,omitempty"`
	Status      Status          `json:"status"`
	Attempts    int             `json:"attempts"`
	CreatedAt   time.Time       `json:"created_at"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	ContentType string          `json:"content_type"`
	Payload     json.RawMessage `json:"payload,omitempty"`      // of JSON
	Bytes       []byte          `json:"payload_bytes,omitzero"` // base64 of anything else
}

func itemOf(r Record) item {
	i := item{
		ID: r.ID, WebhookID: r.WebhookID, Type: r.Type, Status: r.Status, Attempts: r.Attempts,
		CreatedAt: r.CreatedAt, FinishedAt: r.FinishedAt, ContentType: r.ContentType,
	}
	if strings.Contains(r.ContentType, "json") && json.Valid(r.Payload) {
		i.Payload = r.Payload
	} else {
		i.Bytes = r.Payload
	}
	return i
}

type page struct {
	Notifications []item `json:"notifications"`
	Next          string `json:"next,omitempty"`
}

func (n *Notifier) serveList(w http.ResponseWriter, r *http.Request, target string) {
	f, err := parseFilter(r.URL.RawQuery)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	f.Target = target
	p, err := n.page(r.Context(), f)
	if err != nil {
		n.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, "application/json", p)
}

// page reads as many notifications as their payloads fit into pageBytes, and one at
// least: their sizes first, so that no page is read that is not answered.
func (n *Notifier) page(ctx context.Context, f Filter) (page, error) {
	sizes, err := n.list(ctx, f, "NULL")
	if err != nil || len(sizes) == 0 {
		return page{Notifications: []item{}}, err
	}
	limit, fit, total := f.Limit, 0, 0
	for _, r := range sizes {
		if total += r.size; total > pageBytes && fit > 0 {
			break
		}
		fit++
	}
	f.Limit = fit
	list, err := n.List(ctx, f)
	if err != nil {
		return page{}, err
	}
	p := page{Notifications: make([]item, 0, len(list))}
	for _, r := range list {
		p.Notifications = append(p.Notifications, itemOf(r))
	}
	if len(list) > 0 && (fit < len(sizes) || len(sizes) == limit) {
		p.Next = cursorOf(list[len(list)-1])
	}
	return p, nil
}

func (n *Notifier) serveOne(w http.ResponseWriter, r *http.Request, target string) {
	record, err := n.Get(r.Context(), target, r.PathValue("id"))
	if err != nil {
		n.refuse(w, err)
		return
	}
	answer(w, http.StatusOK, "application/json", itemOf(record))
}

func (n *Notifier) serveConfirm(w http.ResponseWriter, r *http.Request, target string) {
	if err := n.Confirm(r.Context(), target, r.PathValue("id"), "partner"); err != nil {
		n.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func cursorOf(r Record) string { return fmt.Sprintf("%d-%d", sqltable.Micros(r.CreatedAt), r.id) }

func parseCursor(s string) (Record, error) {
	at, id, ok := strings.Cut(s, "-")
	micro, err := strconv.ParseInt(at, 10, 64)
	number, err2 := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil || err2 != nil || micro < 1 || number < 1 {
		return Record{}, errors.New("cursor: it is none that this endpoint gave")
	}
	return Record{CreatedAt: sqltable.Time(micro), id: number}, nil
}

// parseFilter refuses what it does not know and what is there twice, but for status.
func parseFilter(raw string) (f Filter, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return f, errors.New("query: it cannot be read")
	}
	f.Limit = 50
	f.Statuses = []Status{Waiting, Held, Stopped}
	for key, values := range query {
		if len(values) > 1 && key != "status" {
			return f, fmt.Errorf("%s: it is there %d times", key, len(values))
		}
		value := values[0]
		switch key {
		case "since":
			f.From, err = parseTime(key, value)
		case "until":
			f.To, err = parseTime(key, value)
		case "limit":
			if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > 200 {
				err = errors.New("limit: use 1 to 200")
			}
		case "cursor":
			f.After, err = parseCursor(value)
		case "status":
			f.Statuses = nil
			for _, s := range values {
				f.Statuses = append(f.Statuses, Status(s))
			}
			if slices.ContainsFunc(f.Statuses, func(s Status) bool { return !s.Valid() }) {
				err = errors.New("status: use waiting, held, stopped, delivered or confirmed")
			}
		default:
			err = errors.New("query: use since, until, status, limit and cursor")
		}
		if err != nil {
			return f, err
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, errors.New("since: it must be before until")
	}
	return f, nil
}

func parseTime(key, value string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%s: use a time such as 2026-01-02T15:04:05Z", key)
	}
	return at, nil
}
