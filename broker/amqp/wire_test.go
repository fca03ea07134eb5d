package amqp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

// TestWhatIsWrittenArrivesInOrderAndInFewerWrites writes small pieces while the
// other side does not read: they leave together once it does.
func TestWhatIsWrittenArrivesInOrderAndInFewerWrites(t *testing.T) {
	ours, theirs := net.Pipe()
	w := newWire(ours)
	var want bytes.Buffer
	for i := range 1000 {
		piece := []byte{byte(i), byte(i >> 8), 'x'}
		want.Write(piece)
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	got, reads := make([]byte, 0, want.Len()), 0
	for buf := make([]byte, 64<<10); len(got) < want.Len(); reads++ {
		n, err := theirs.Read(buf) // of a pipe: one Write at most
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("other bytes arrived")
	}
	if reads > 10 {
		t.Errorf("%d writes for 1000 pieces", reads)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	<-w.done
}

func TestAWriterThatIsFullWaitsAndFailsAtTheCut(t *testing.T) {
	ours, theirs := net.Pipe() // nobody reads
	defer theirs.Close()
	w := newWire(ours)
	failed := make(chan error)
	go func() {
		piece := make([]byte, 64<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				failed <- err
				return
			}
		}
	}()
	buf := make([]byte, 1)
	if _, err := theirs.Read(buf); err != nil { // a write is under way
		t.Fatal(err)
	}
	_ = w.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the writer got %v", err)
	}
	<-w.done
	if held := cap(w.pending); held > 4*maxPending {
		t.Errorf("%d bytes were held", held)
	}
}

func TestAFailedWriteFailsTheNext(t *testing.T) {
	ours, theirs := net.Pipe()
	w := newWire(ours)
	_ = theirs.Close()
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-w.done
	if _, err := w.Write([]byte("y")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	_ = w.Close()
}
