package redis

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// reply reads a reply of the server in place: a stream has many small texts,
// and a copy of each would be most of the work of reading it. What it returns
// shares the memory of the whole reply.
type reply struct {
	rest []byte
	err  error
	last string // id of the last entry that was taken
}

// replyError is an error that the server has answered with.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError makes it one of go-redis's.
func (replyError) RedisError() {}

var (
	crlf   = []byte("\r\n")
	oldNil = []byte("$-1\r\n")
)

var errProtocol = errors.New("redis has answered with something else than expected")

// status takes a status, like OK.
func (r *reply) status() { _ = r.line('+') }

// refusal takes an error, if that is what comes next.
func (r *reply) refusal() error {
	if !r.next('-') {
		return nil
	}
	line, rest, found := bytes.Cut(r.rest, crlf)
	if !found {
		r.err = errProtocol
		return nil
	}
	r.rest = rest
	return replyError(line[1:])
}

func (r *reply) next(kind byte) bool { return r.err == nil && len(r.rest) > 0 && r.rest[0] == kind }

// line takes one line, which must begin with kind.
func (r *reply) line(kind byte) []byte {
	if r.err != nil {
		return nil
	}
	line, rest, found := bytes.Cut(r.rest, crlf)
	switch {
	case !found || len(line) == 0:
		r.err = errProtocol
	case line[0] == '-':
		r.err = replyError(line[1:])
	case line[0] != kind:
		r.err = errProtocol
	default:
		r.rest = rest
		return line[1:]
	}
	return nil
}

func (r *reply) number(kind byte) int {
	line := r.line(kind)
	if r.err != nil {
		return -1
	}
	n, err := strconv.Atoi(string(line)) // without a copy
	if err != nil || n < -1 || n > len(r.rest) {
		r.err = errProtocol
		return -1
	}
	return n
}

// array takes the head of an array and returns how many elements follow, -1
// for nil.
func (r *reply) array() int {
	if bytes.HasPrefix(r.rest, oldNil) { // older servers write nil so
		return r.number('$')
	}
	return r.number('*')
}

// text takes a text.
func (r *reply) text() []byte {
	n := r.number('$')
	if r.err != nil || n < 0 || n+2 > len(r.rest) {
		r.err = first(r.err, errProtocol)
		return nil
	}
	s := r.rest[:n]
	r.rest = r.rest[n+2:]
	return s
}

// entries takes an array of entries of a stream. Those that were removed and
// are still pending are returned apart, by their ids.
func (r *reply) entries(topic string) (entries []*entry, removed []string) {
	n := r.array()
	if n > 0 {
		entries = make([]*entry, 0, n)
	}
	for range n {
		switch r.array() {
		case 2:
		case -1:
			continue // removed, and an older server does not say which
		default:
			r.err = first(r.err, errProtocol)
		}
		id := string(r.text())
		fields := r.array()
		if r.err != nil {
			return nil, nil
		}
		r.last = id
		if fields < 0 {
			removed = append(removed, id)
			continue
		}
		e := &entry{id: id, topic: topic}
		for range fields / 2 {
			name := r.text()
			e.set(name, r.text())
		}
		if r.err != nil {
			return nil, nil
		}
		e.read()
		entries = append(entries, e)
	}
	return entries, removed
}

// stream takes the reply to a read of one stream; nil is no entries.
func (r *reply) stream(topic string) (entries []*entry, removed []string) {
	if r.array() < 1 {
		return nil, nil
	}
	if r.array() != 2 {
		r.err = first(r.err, errProtocol)
		return nil, nil
	}
	_ = r.text() // its name
	return r.entries(topic)
}

// sink gathers replies as they come, in one piece of memory. It guesses its
// size once the first bytes have shown that there is something to come.
type sink struct {
	b     []byte
	guess int
}

func (s *sink) grow(n int) {
	if len(s.b) > 0 && cap(s.b) < s.guess {
		s.b = slices.Grow(s.b, s.guess-len(s.b))
	}
	s.b = slices.Grow(s.b, n)
}

func (s *sink) Write(p []byte) (int, error) {
	s.grow(len(p))
	s.b = append(s.b, p...)
	return len(p), nil
}

// ReadFrom takes what io.CopyN copies without a buffer in between.
func (s *sink) ReadFrom(from io.Reader) (int64, error) {
	limited, ok := from.(*io.LimitedReader)
	if !ok {
		return 0, errProtocol
	}
	n := int(limited.N)
	s.grow(n)
	start := len(s.b)
	k, err := io.ReadFull(limited, s.b[start:start+n])
	s.b = s.b[:start+k]
	return int64(k), err
}
