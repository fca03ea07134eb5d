package deadletter

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
)

// MaxLine is how many bytes a line of an import may have.
const MaxLine = 64 << 20

// ImportRequest asks to store letters that Export has written.
type ImportRequest struct {
	// From is read to its end, or to the first line that cannot be used. Where it
	// is an io.Seeker, such as a file, all of it is checked before anything is
	// stored; otherwise the lines before the bad one are stored. Required.
	From io.Reader
	// By and Note are as in RedriveRequest.
	By, Note string
	// Progress is told after every batch, on this goroutine. Default: nobody.
	Progress func(Result)
}

// LineError says which line of an import cannot be used, and which fields.
type LineError struct {
	Line int64 // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with it.
func (e *LineError) Unwrap() error { return e.Err }

// Import stores letters as they were, with the time at which they were set
// aside, under ids of their own. A letter that is there already, by its ref, is
// skipped, so that an import can be repeated, also into the table that it was
// exported from. What was edited for a redrive is not imported; inbox records are
// not touched. It ends with ctx or with Cancel like Redrive.
func (d *Desk) Import(ctx context.Context, req ImportRequest) (Result, error) {
	errs := actor(req.By, req.Note)
	if req.From == nil {
		errs = append(errs, fmt.Errorf("%w: From: is nil", ErrInvalid))
	}
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("import dead letters: %w", err)
	}
	if err := checkLines(ctx, req.From); err != nil {
		return Result{}, fmt.Errorf("import dead letters: %w", err)
	}
	a, err := d.begin(ctx, Action{Kind: KindImport, By: req.By, Note: req.Note})
	if err != nil {
		return Result{}, fmt.Errorf("import dead letters: %w", err)
	}
	r := Result{Action: a}
	err = eachLine(req.From, d.cfg.Batch, func(letters []Letter) error {
		added, err := d.store.addAll(ctx, letters)
		if err != nil {
			return err
		}
		r.Total += int64(len(letters))
		r.Done += added
		r.Skipped = r.Total - r.Done
		if req.Progress != nil {
			req.Progress(r)
		}
		return d.report(ctx, r.Action)
	})
	r.Action, err = d.finish(ctx, r.Action, err)
	if err != nil {
		return r, fmt.Errorf("import dead letters: %w", err)
	}
	return r, nil
}

// checkLines reads what can be read twice.
func checkLines(ctx context.Context, from io.Reader) error {
	seeker, ok := from.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil //nolint:nilerr // a pipe has the method, and cannot
	}
	if err := eachLine(from, MaxLimit, func([]Letter) error { return ctx.Err() }); err != nil {
		return err
	}
	if _, err := seeker.Seek(start, io.SeekStart); err != nil {
		return fmt.Errorf("From: go back to its beginning: %w", err)
	}
	return nil
}

// eachLine calls fn with the letters of up to size lines, of at most batchBytes
// or one line. Empty lines are passed over.
func eachLine(from io.Reader, size int, fn func([]Letter) error) error {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, MaxLine)
	var letters []Letter
	number, held := int64(0), 0
	flush := func() error {
		if len(letters) == 0 {
			return nil
		}
		err := fn(letters)
		letters, held = nil, 0
		return err
	}
	for scanner.Scan() {
		number++
		b := bytes.TrimSpace(scanner.Bytes())
		if len(b) == 0 {
			continue
		}
		l, err := decodeLine(b)
		if err != nil {
			return errors.Join(flush(), &LineError{Line: number, Err: err})
		}
		letters, held = append(letters, l), held+len(b)
		if len(letters) == size || held >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := scanner.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = &LineError{Line: number + 1, Err: fmt.Errorf("%w: it is longer than %d bytes", ErrInvalid, MaxLine)}
		}
		return errors.Join(flush(), err)
	}
	return flush()
}

// addAll stores letters with their own refs, times and statuses, in one
// transaction, and returns how many were not there.
func (s *SQLStore) addAll(ctx context.Context, letters []Letter) (added int64, err error) {
	tx, err := s.db.BeginTx(ctx, s.dialect.TxOptions())
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, l := range letters {
		ok, err := s.add(ctx, tx, l)
		if err != nil {
			return 0, err
		}
		if ok {
			added++
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return added, nil
}

// add reports whether l was not there.
func (s *SQLStore) add(ctx context.Context, tx *sql.Tx, l Letter) (bool, error) {
	args, err := insertArgs(l)
	if err != nil {
		return false, fmt.Errorf("insert dead letter: %w", err)
	}
	query := fmt.Sprintf(s.insert, "?")
	if s.dialect != MySQL {
		query += " ON CONFLICT (ref) DO NOTHING"
	}
	res, err := tx.ExecContext(ctx, s.dialect.Bind(query), append(args, l.At.UnixMicro())...)
	if s.dialect == MySQL && s.dialect.IsDuplicate(err) {
		return false, nil // INSERT IGNORE would hide other errors too
	}
	if err != nil {
		return false, fmt.Errorf("insert dead letter: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
