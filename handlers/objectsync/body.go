package objectsync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// What errors.Is finds where a row cannot become an object.
var (
	// ErrBody: the value cannot be serialised, or there is none. Permanent.
	ErrBody = errors.New("object cannot be serialised")
	// ErrTooLarge: the body is over Config.MaxSize. Permanent.
	ErrTooLarge = errors.New("object is too large")
	// ErrVersion: a version is negative. Permanent.
	ErrVersion = errors.New("invalid version")
)

// blob is what o is stored as; for a deletion only the version.
func (o Object) blob(limit int) (Blob, error) {
	if o.Version < 0 {
		return Blob{}, failure.Permanent(fmt.Errorf("%w: %d is negative", ErrVersion, o.Version))
	}
	b := Blob{ContentType: o.ContentType, Version: o.Version}
	if o.Deleted {
		return b, nil
	}
	standard := "application/json"
	switch body := o.Body.(type) {
	case nil:
		return Blob{}, failure.Permanent(fmt.Errorf("%w: Object.Body is nil", ErrBody))
	case []byte:
		b.Body, standard = body, "application/octet-stream"
	case json.RawMessage:
		b.Body = body
	default:
		var err error
		if b.Body, err = json.Marshal(body); err != nil {
			return Blob{}, failure.Permanent(fmt.Errorf("%w: %w", ErrBody, err))
		}
	}
	if len(b.Body) > limit {
		return Blob{}, failure.Permanent(fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b.Body), limit))
	}
	orDefault(&b.ContentType, standard)
	b.Hash = Hash(b.Body)
	return b, nil
}

// Hash is the hex SHA-256 of a body, as Blob.Hash has it.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
