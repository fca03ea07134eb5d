package callback

import (
	"encoding/json"
	"net/http"
)

// answers are the words for what became of a callback.
var answers = map[Kind]string{
	KindEnded: "applied", KindNoted: "noted", KindRepeated: "repeated", KindLate: "late", KindContradicted: "contradicted",
	KindParked: "parked",
}

// answer says what became of a callback that was taken.
func answer(w http.ResponseWriter, kind Kind) {
	status := http.StatusOK
	if kind == KindParked {
		status = http.StatusAccepted
	}
	write(w, "application/json", status, map[string]string{"status": answers[kind]})
}

// problem answers with problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	write(w, "application/problem+json", status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
}

func write(w http.ResponseWriter, kind string, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // strings and a number; the reader may be gone
}
