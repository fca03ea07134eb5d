package objectsync

import (
	"context"
	"errors"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// Store holds objects by key. Its methods are safe for concurrent use and end when
// ctx does. Those of memstore, dirstore and s3store are ready; storetest holds
// others to what is said here.
//
// A key that CheckKey refuses gives an error that wraps ErrKey. An error that says that the
// store could not be reached is marked by Unavailable, unless it holds the network's
// own error.
type Store interface {
	// Put writes the whole object, in place of what is there. It is there when Put
	// has returned nil, and after an error either the old or the new one is there,
	// whole.
	Put(ctx context.Context, key string, b Blob) (Info, error)
	// Get reads an object. ErrNotFound where there is none.
	Get(ctx context.Context, key string) (Blob, Info, error)
	// Stat tells about an object. ErrNotFound where there is none.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes an object. It answers nil where there is none.
	Delete(ctx context.Context, key string) error
	// List returns the objects whose keys begin with r.Prefix and come after
	// r.After, in the order of the bytes of their keys, up to r.Limit.
	List(ctx context.Context, r ListRequest) (Page, error)
}

// Conditional is a Store that can refuse to overwrite what it does not expect.
type Conditional interface {
	// PutIf is Put where the object that is there has this ETag, or, with an empty
	// one, where there is none. Else ErrChanged, and nothing has changed.
	PutIf(ctx context.Context, key string, b Blob, etag string) (Info, error)
}

// Blob is an object as it is stored.
type Blob struct {
	Body        []byte
	ContentType string
	// Version is that of the row, and Hash the hex SHA-256 of Body. A store that
	// keeps no metadata leaves out Version.
	Version int64
	Hash    string
}

// Info tells about an object.
type Info struct {
	Key  string
	Size int64
	// ETag changes with the bytes. Put, Stat and List tell the same.
	ETag     string
	Modified time.Time
	// Version and Hash are those of the Blob; zero where the store does not tell.
	// List need not tell them.
	Version int64
	Hash    string
}

// ListRequest asks for a page.
type ListRequest struct {
	Prefix string
	After  string // the last key of the page before; empty: from the start
	Limit  int    // 1 to 1000
}

// Page is part of a listing.
type Page struct {
	Items []Info
	// More says that there may be others after these.
	More bool
}

// What errors.Is finds in the errors of a store, and of a Syncer.
var (
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("object not found")
	// ErrChanged: the object is not the one that was expected. Nothing was changed.
	ErrChanged = errors.New("object has changed")
	// ErrKey: the key or the entity cannot be used. Nothing was changed.
	ErrKey = errors.New("invalid object key")
)

// Permanent marks err, of Config.Load, as one that another attempt cannot cure: the
// record becomes Failed at once. A nil err stays nil.
func Permanent(err error) error { return failure.Permanent(err) }

// Unavailable marks err, of a store or of Config.Load, as the absence of what was
// asked: no attempt is spent. A nil err stays nil.
func Unavailable(err error) error { return failure.Unavailable(err) }
