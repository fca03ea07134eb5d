package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// List implements objectsync.Store. It holds the names of one folder of each depth
// in memory, and passes over folders that lie outside of what was asked for.
func (s *Store) List(ctx context.Context, r objectsync.ListRequest) (objectsync.Page, error) {
	var p objectsync.Page
	err := s.walk(ctx, "", r, &p)
	if errors.Is(err, errFull) {
		err = nil
	}
	if err != nil {
		return objectsync.Page{}, err
	}
	return p, nil
}

var errFull = errors.New("page is full")

// walk lists a folder; its name ends with a "/", and is empty at the top.
func (s *Store) walk(ctx context.Context, dir string, r objectsync.ListRequest, p *objectsync.Page) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	name := strings.TrimSuffix(dir, "/")
	if name == "" {
		name = "."
	}
	entries, err := fs.ReadDir(s.root.FS(), name)
	if err != nil {
		return fmt.Errorf("list folder: %w", err)
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		key := dir + e.Name()
		if e.IsDir() {
			key += "/" // with which its files come in the order of their keys
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := s.visit(ctx, key, r, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) visit(ctx context.Context, key string, r objectsync.ListRequest, p *objectsync.Page) error {
	if key == scratch+"/" {
		return nil
	}
	if strings.HasSuffix(key, "/") {
		within := strings.HasPrefix(key, r.Prefix) || strings.HasPrefix(r.Prefix, key)
		passed := r.After > key && !strings.HasPrefix(r.After, key)
		if !within || passed {
			return nil
		}
		return s.walk(ctx, key, r, p)
	}
	if key <= r.After || !strings.HasPrefix(key, r.Prefix) {
		return nil
	}
	if len(p.Items) == r.Limit {
		p.More = true
		return errFull
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	body, modified, err := s.read(key)
	switch {
	case errors.Is(err, objectsync.ErrNotFound):
		return nil // removed meanwhile, or no file
	case err != nil:
		return err
	}
	p.Items = append(p.Items, told(key, body, modified))
	return nil
}

// notFolder reports whether a part of the path is a file.
func notFolder(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
