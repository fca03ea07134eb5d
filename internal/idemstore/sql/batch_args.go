package sql

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// How each database is given the keys of a batch: an array, a list, or JSON.

func (s *Store) readArgs(claims []idemstore.Claim) (query string, args []any) {
	handler := claims[0].Key.Handler
	switch s.dialect {
	case sqldialect.PostgreSQL:
		return s.batch.read, []any{handler, arrayOf(claims, keyOf)}
	case sqldialect.MySQL:
		args = append(make([]any, 0, len(claims)+1), handler)
		for _, c := range claims {
			args = append(args, c.Key.ID)
		}
		return fmt.Sprintf(s.batch.read, sqldialect.List(len(claims))), args
	default: // SQLite
	}
	keys := make([]string, len(claims))
	for i, c := range claims {
		keys[i] = c.Key.ID
	}
	return s.batch.read, []any{handler, marshal(keys)}
}

func keyOf(c idemstore.Claim) string         { return c.Key.ID }
func fingerprintOf(c idemstore.Claim) string { return c.Fingerprint }

// arrayOf is the literal of a PostgreSQL array of texts.
func arrayOf(claims []idemstore.Claim, text func(idemstore.Claim) string) string {
	var b strings.Builder
	b.Grow(2 + 40*len(claims))
	b.WriteByte('{')
	for i, c := range claims {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		s := text(c)
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

func jsonOf(claims []idemstore.Claim) string {
	pairs := make([][2]string, len(claims))
	for i, c := range claims {
		pairs[i] = [2]string{c.Key.ID, c.Fingerprint}
	}
	return marshal(pairs)
}

// marshal writes texts, which cannot fail.
func marshal(v any) string {
	b, _ := json.Marshal(v) //nolint:errchkjson // strings only
	return string(b)
}
