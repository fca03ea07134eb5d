// Package dirstore keeps objects as files in a folder, one for each: for a web server on
// the same machine, for a network folder, and for development.
//
// A file is written beside, synced to the disk, and renamed over the old one, so that who
// reads sees the one or the other, whole, also after a crash. Files are reached
// through an os.Root: neither a key nor a symbolic link leads out of the folder.
//
// Files hold the bytes of an object alone; its version is in the table of the Syncer.
// The ETag is the hash of the bytes, so Stat and List read the files that they tell of.
package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// scratch is where files are written before they are renamed. No key lies in it.
const scratch = ".sluicegate-tmp"

// Store is an objectsync.Store in a folder. It is safe for concurrent use, also by several
// processes. Close it when it is no longer needed.
type Store struct {
	root *os.Root
}

// New returns a store in a folder, which is made where it does not exist. What a killed
// process left half written more than an hour ago is removed.
func New(dir string) (*Store, error) {
	if dir == "" {
		return nil, errors.New("configure dirstore: dir: must not be empty")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // who may read the objects is the operator's umask to say
		return nil, fmt.Errorf("configure dirstore: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("configure dirstore: %w", err)
	}
	s := &Store{root}
	if err := s.prepare(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("configure dirstore: %w", err)
	}
	return s, nil
}

func (s *Store) prepare() error {
	if err := s.root.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	left, err := fs.ReadDir(s.root.FS(), scratch)
	if err != nil {
		return err
	}
	for _, e := range left {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = s.root.Remove(path.Join(scratch, e.Name())) // another process may have been faster
		}
	}
	return nil
}

// Close gives the folder back.
func (s *Store) Close() error { return s.root.Close() } //nolint:wrapcheck // it says what it is

func check(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if key == scratch || strings.HasPrefix(key, scratch+"/") {
		return &objectsync.KeyError{Reason: "it begins with " + scratch}
	}
	return objectsync.CheckKey(key) //nolint:wrapcheck // it says what it is
}

// Put implements objectsync.Store.
func (s *Store) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	if err := check(ctx, key); err != nil {
		return objectsync.Info{}, err
	}
	temporary := path.Join(scratch, uuid.NewString())
	modified, err := s.write(temporary, b.Body)
	if err == nil {
		err = s.place(temporary, key)
	}
	if err != nil {
		_ = s.root.Remove(temporary) // it may not be there
		return objectsync.Info{}, fmt.Errorf("write file: %w", err)
	}
	hash := objectsync.Hash(b.Body)
	return objectsync.Info{Key: key, Size: int64(len(b.Body)), ETag: hash, Hash: hash, Modified: modified}, nil
}

// write makes a file that is on the disk when this returns.
func (s *Store) write(name string, body []byte) (modified time.Time, err error) {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return time.Time{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(body); err != nil {
		return time.Time{}, err
	}
	if err := f.Sync(); err != nil {
		return time.Time{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// place renames a file, and syncs the folders in which names have changed.
func (s *Store) place(from, key string) error {
	parent := path.Dir(key)
	if err := s.root.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := s.root.Rename(from, key); err != nil {
		return err
	}
	return s.syncDirs(parent)
}

// syncDirs syncs a folder and those above it, which may be new.
func (s *Store) syncDirs(dir string) error {
	for {
		d, err := s.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// Get implements objectsync.Store. The content type is told from the key's extension.
func (s *Store) Get(ctx context.Context, key string) (objectsync.Blob, objectsync.Info, error) {
	if err := check(ctx, key); err != nil {
		return objectsync.Blob{}, objectsync.Info{}, err
	}
	body, modified, err := s.read(key)
	if err != nil {
		return objectsync.Blob{}, objectsync.Info{}, err
	}
	info := told(key, body, modified)
	return objectsync.Blob{Body: body, ContentType: mime.TypeByExtension(path.Ext(key)), Hash: info.Hash}, info, nil
}

// Stat implements objectsync.Store.
func (s *Store) Stat(ctx context.Context, key string) (objectsync.Info, error) {
	_, info, err := s.Get(ctx, key)
	return info, err
}

func told(key string, body []byte, modified time.Time) objectsync.Info {
	hash := objectsync.Hash(body)
	return objectsync.Info{Key: key, Size: int64(len(body)), ETag: hash, Hash: hash, Modified: modified}
}

func (s *Store) read(key string) (body []byte, modified time.Time, err error) {
	f, err := s.root.Open(key)
	if err != nil {
		return nil, time.Time{}, absent(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, absent(err)
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("read file: %w", objectsync.ErrNotFound)
	}
	if body, err = io.ReadAll(f); err != nil {
		return nil, time.Time{}, fmt.Errorf("read file: %w", err)
	}
	return body, info.ModTime(), nil
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || notFolder(err) {
		return fmt.Errorf("read file: %w", objectsync.ErrNotFound)
	}
	return fmt.Errorf("read file: %w", err)
}

// Delete implements objectsync.Store. It leaves the folders.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if _, _, err := s.read(key); errors.Is(err, objectsync.ErrNotFound) {
		return nil // nor is a folder of that name an object
	}
	if err := s.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	return s.synced(path.Dir(key))
}

func (s *Store) synced(dir string) error {
	if err := s.syncDirs(dir); err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	return nil
}
