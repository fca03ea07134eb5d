package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// customers are enough that few orders wait for another of their customer.
const customers = 10_000

const answerWithin = 30 * time.Second

// client is one customer's browser: it places an order, waits for the answer
// and places the next, on one connection that stays open. It speaks HTTP by
// itself: http.Client would take a third of the machine from the shop.
type client struct {
	address string
	random  *rand.Rand
	number  int // of the client, in the SKUs

	conn   net.Conn
	reader *bufio.Reader
	text   bytes.Buffer
	body   []byte

	ids       []string        // that were answered with 201
	latencies []time.Duration // of those
	failed    int             // requests without such an answer
	lastErr   error
}

func newClient(address string, number int, seed uint64) *client {
	return &client{address: address, number: number, random: rand.New(rand.NewPCG(seed, uint64(number)))} //nolint:gosec // not negative
}

// run places orders until ctx ends. told is told of each that was taken.
func (c *client) run(ctx context.Context, told func()) {
	defer c.close()
	for n := 0; ctx.Err() == nil; n++ {
		begun := time.Now()
		id, err := c.place(ctx, n)
		if err != nil {
			c.failed, c.lastErr = c.failed+1, err
			c.close()
			if backoff.Wait(ctx, 50*time.Millisecond) != nil {
				return
			}
			continue
		}
		c.ids, c.latencies = append(c.ids, id), append(c.latencies, time.Since(begun))
		told()
	}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// place sends order number n and returns its id. It is not cut off by the end of
// ctx: an order under way is answered.
func (c *client) place(ctx context.Context, n int) (string, error) {
	if c.conn == nil {
		conn, err := (&net.Dialer{Timeout: answerWithin}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return "", err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	c.body = fmt.Appendf(c.body[:0], `{"customer":"customer-%04d","sku":"sku-%03d-%07d","quantity":%d,"amount":%d.%02d}`,
		c.random.IntN(customers), c.number, n, 1+c.random.IntN(5), c.random.IntN(1000), c.random.IntN(100))
	c.text.Reset()
	c.text.WriteString("POST /orders HTTP/1.1\r\nHost: " + c.address + "\r\nContent-Type: application/json\r\nContent-Length: ")
	c.text.WriteString(strconv.Itoa(len(c.body)))
	c.text.WriteString("\r\n\r\n")
	c.text.Write(c.body)
	if _, err := c.conn.Write(c.text.Bytes()); err != nil {
		return "", err
	}
	return c.answer()
}

func (c *client) answer() (id string, err error) {
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the shop answered %s", response.Status)
	}
	_, rest, found := bytes.Cut(answer, []byte(`{"id":"`))
	text, _, ended := bytes.Cut(rest, []byte(`"}`))
	if !found || !ended || len(text) == 0 {
		return "", errors.New("the shop's answer has no id")
	}
	return string(text), nil
}
