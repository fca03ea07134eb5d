package email_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/alert/alerttest"
)

// server is a small SMTP server.
type server struct {
	listener net.Listener
	tls      *tls.Config
	implicit bool // TLS from the start
	plain    bool // no STARTTLS
	noAuth   bool

	mu       sync.Mutex
	fault    alerttest.Fault
	answers  map[string]string // by command, in place of success
	cutAfter string            // the command after which the connection ends
	mails    []received
	conns    []net.Conn
	wg       sync.WaitGroup
}

// received is one mail.
type received struct {
	from      string
	to        []string
	user      string
	encrypted bool
	raw       string
	header    mail.Header
	text      string // subject and text, decoded
}

func serve(t alerttest.T, change func(*server)) (*server, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("certificate: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	s := &server{
		tls:     &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		answers: map[string]string{}, fault: alerttest.Healthy,
	}
	change(s)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatalf("listen: %v", err)
	}
	s.wg.Go(s.accept)
	t.Cleanup(s.stop)
	return s, &tls.Config{RootCAs: pool}
}

func (s *server) address() string { return s.listener.Addr().String() }

func (s *server) stop() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		s.wg.Go(func() {
			defer conn.Close()
			if s.implicit {
				conn = tls.Server(conn, s.tls)
			}
			s.talk(conn)
		})
	}
}

func (s *server) behave(f alerttest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	clear(s.answers)
	switch f {
	case alerttest.Unreachable:
		s.listener.Close()
	case alerttest.Busy:
		s.answers["RCPT"] = "451 4.3.0 ECHO greylisted"
	case alerttest.Broken:
		s.answers["AUTH"] = "535 5.7.8 no such account ECHO"
	case alerttest.Refused:
		s.answers["."] = "554 5.6.0 ECHO is spam"
	case alerttest.Garbage:
		s.answers["EHLO"], s.answers["HELO"] = "HTTP/1.1 400 Bad Request", "HTTP/1.1 400 Bad Request"
	default:
	}
}

func (s *server) answer(command string) (line string, f alerttest.Fault, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[command], s.fault, s.cutAfter == command
}

func (s *server) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// talk serves one connection.
func (s *server) talk(conn net.Conn) {
	r := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	switch _, f, _ := s.answer(""); f {
	case alerttest.Silent:
		_, _ = io.Copy(io.Discard, conn)
		return
	case alerttest.Cut:
		return
	case alerttest.Endless:
		for chunk := strings.Repeat("220-", 1<<14); ; {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	default:
	}
	say("220 test ESMTP")
	m := received{encrypted: s.implicit}
	var seen []string // everything that the client said
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		seen = append(seen, line)
		command, argument, _ := strings.Cut(line, " ")
		command = strings.ToUpper(command)
		instead, _, cut := s.answer(command)
		if instead != "" {
			say(strings.ReplaceAll(instead, "ECHO", strings.Join(seen, " ")))
			continue
		}
		switch command {
		case "EHLO":
			fmt.Fprint(conn, "250-test\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n")
			if !m.encrypted && !s.plain {
				say("250-STARTTLS")
			}
			if m.encrypted && !s.noAuth {
				say("250-AUTH LOGIN PLAIN")
			}
			say("250 HELP")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.tls)
			r, m.encrypted = bufio.NewReader(conn), true
		case "AUTH":
			_, response, _ := strings.Cut(argument, " ")
			decoded, _ := base64.StdEncoding.DecodeString(response)
			m.user = string(decoded)
			say("235 welcome")
		case "MAIL":
			m.from = argument
			say("250 ok")
		case "RCPT":
			m.to = append(m.to, argument)
			say("250 ok")
		case "DATA":
			say("354 go on")
			if !s.data(r, m, say) {
				continue
			}
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
		if cut {
			return
		}
	}
}

func (s *server) data(r *bufio.Reader, m received, say func(string)) bool {
	var raw strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	if instead, _, _ := s.answer("."); instead != "" {
		say(strings.ReplaceAll(instead, "ECHO", m.user))
		return false
	}
	m.raw = raw.String()
	parsed, err := mail.ReadMessage(strings.NewReader(m.raw))
	if err != nil {
		say("554 " + err.Error())
		return false
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil {
		say("554 " + err.Error())
		return false
	}
	body := parsed.Body
	switch strings.ToLower(parsed.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	decoded, err := io.ReadAll(body)
	if err != nil {
		say("554 " + err.Error())
		return false
	}
	m.header = parsed.Header
	m.text = subject + "\n" + strings.ReplaceAll(string(decoded), "\r\n", "\n")
	s.mu.Lock()
	s.mails = append(s.mails, m)
	s.mu.Unlock()
	say("250 queued")
	return true
}
