package broker_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const rabbitBin = "/usr/lib/rabbitmq/bin"

// node is a RabbitMQ server of the test's own.
type node struct {
	dir            string
	env            []string
	port, tlsPort  int
	caFile         string
	server         *exec.Cmd
	user, password string
}

// startNode starts a server with a TLS listener, or skips where it is not installed.
func startNode(t *testing.T) *node {
	t.Helper()
	if _, err := os.Stat(rabbitBin + "/rabbitmq-server"); err != nil || os.Getenv("AMQP_URL") == "" {
		t.Skip("needs AMQP_URL and the Debian package rabbitmq-server")
	}
	dir := t.TempDir()
	n := &node{dir: dir, port: freePort(t), tlsPort: freePort(t), user: "shop", password: "p@ss:w/rd"}
	epmd := freePort(t)
	n.env = append(os.Environ(), "HOME="+dir, "ERL_EPMD_ADDRESS=127.0.0.1", fmt.Sprintf("ERL_EPMD_PORT=%d", epmd),
		"RUNNING_UNDER_SYSTEMD=true", "RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_NODENAME=node@localhost",
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", freePort(t)), "RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir,
		"RABBITMQ_CONFIG_FILE="+dir+"/rabbitmq.conf", "RABBITMQ_ADVANCED_CONFIG_FILE="+dir+"/advanced.config",
		"RABBITMQ_ENABLED_PLUGINS_FILE="+dir+"/enabled_plugins", "RABBITMQ_GENERATED_CONFIG_DIR="+dir,
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
	n.configure(t)
	names := exec.Command("epmd", "-port", fmt.Sprint(epmd))
	names.Env = n.env
	run(t, names)
	n.start(t)
	t.Cleanup(func() { n.kill(t) })
	return n
}

func (n *node) configure(t *testing.T) {
	t.Helper()
	caFile, config := selfSigned(t)
	n.caFile = caFile
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"key.pem":         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"enabled_plugins": "[].",
		"rabbitmq.conf": fmt.Sprintf(`listeners.tcp.1 = 127.0.0.1:%d
listeners.ssl.1 = 127.0.0.1:%d
ssl_options.certfile = %s
ssl_options.keyfile = %s/key.pem
ssl_options.verify = verify_none
default_user = %s
default_pass = %s
max_message_size = 100000
log.file = false
log.console = false
`, n.port, n.tlsPort, caFile, n.dir, n.user, n.password),
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	return addr.Port
}

// run starts a command that ends with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// start starts the server and waits until it takes connections.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.server = exec.Command(rabbitBin + "/rabbitmq-server")
	n.server.Env = n.env
	// The Erlang machine has children of its own.
	n.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.server.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * patience)
	for _, port := range []int{n.port, n.tlsPort} {
		for {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = conn.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Error("RabbitMQ did not start")
				return
			}
			<-time.After(50 * time.Millisecond)
		}
	}
}

// kill kills the server as a power cut would.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if n.server == nil {
		return
	}
	_ = syscall.Kill(-n.server.Process.Pid, syscall.SIGKILL)
	_ = n.server.Wait()
	n.server = nil
}

func (n *node) url(params string) string {
	return fmt.Sprintf("amqp://shop:p%%40ss%%3Aw%%2Frd@127.0.0.1:%d?%s", n.port, params)
}

func (n *node) ctl(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(rabbitBin+"/rabbitmqctl", args...)
	cmd.Env = n.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rabbitmqctl: %v\n%s", err, out)
	}
}

// TestRabbitMQOnAServerOfItsOwn shares one server, since it takes seconds to
// start.
func TestRabbitMQOnAServerOfItsOwn(t *testing.T) {
	n := startNode(t)
	t.Run("TLS and a password let in who may, and nothing shows the password", n.checkTLS)
	t.Run("what only the server finds too large is refused alone", n.checkTooLarge)
	t.Run("a blocked publisher waits until its context ends, and goes on", n.checkBlocked)
	t.Run("a server killed under load loses nothing and keeps the order", n.checkKilled)
}

func (n *node) checkTLS(t *testing.T) {
	secure := fmt.Sprintf("amqps://shop:p%%40ss%%3Aw%%2Frd@127.0.0.1:%d", n.tlsPort)
	b := openURL(t, secure+"?tls_ca_file="+n.caFile)
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ch := subscribe(t, b.Group("g"), "tls")
	publishKeyed(t, b, "tls", "a")
	next(t, ch).Ack()
	for what, url := range map[string]string{
		"a certificate of nobody": secure,
		"a wrong name":            secure + "?tls_server_name=elsewhere&tls_ca_file=" + n.caFile,
		"a wrong password":        strings.Replace(secure, "p%40ss", "p%40sz", 1) + "?tls_ca_file=" + n.caFile,
		"a wrong virtual host":    secure + "/nowhere?tls_ca_file=" + n.caFile,
	} {
		wrong := openURL(t, url)
		err := wrong.Check(t.Context())
		if !failure.IsUnavailable(err) || strings.Contains(err.Error(), "w/rd") {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
	}
}

func (n *node) checkTooLarge(t *testing.T) {
	b := openURL(t, n.url("groups=large/g"))
	batch := oneKey("large", 30)
	batch[5].Message.Payload = make([]byte, 100_001)
	batch[9].Message.Metadata.Set("much", strings.Repeat("x", 140_000)) // over a frame
	var results []error
	for range 2 { // at first it is not known which
		results = b.PublishBatch(t.Context(), batch)
	}
	if len(results) != len(batch) {
		t.Fatalf("%d results", len(results))
	}
	for i, err := range results {
		if large := i == 5 || i == 9; large != failure.IsPermanent(err) || !large && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func (n *node) checkBlocked(t *testing.T) {
	b := openURL(t, n.url("groups=blocked/g"))
	ch := subscribe(t, b.Group("g"), "blocked")
	if err := b.Publish("blocked", message.NewMessage("before", nil)); err != nil {
		t.Fatal(err)
	}
	next(t, ch).Ack()
	n.ctl(t, "set_vm_memory_high_watermark", "0.0000001")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	results := b.PublishBatch(ctx, oneKey("blocked", 10))
	for i, err := range results {
		if !failure.IsUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if len(results) == 0 || !strings.Contains(results[0].Error(), "blocked its publishers") {
		t.Errorf("results %v", results)
	} else {
		t.Log(results[0])
	}
	done := make(chan error, 1)
	go func() { done <- b.Publish("blocked", message.NewMessage("after", nil)) }()
	n.ctl(t, "set_vm_memory_high_watermark", "0.4")
	if err := <-done; err != nil {
		t.Error(err)
	}
	for msg := next(t, ch); ; msg = next(t, ch) {
		msg.Ack()
		if msg.UUID == "after" {
			return
		}
	}
}

// checkKilled publishes two keys in two lanes and consumes them while the
// server is killed and started again.
func (n *node) checkKilled(t *testing.T) {
	const each = 6_000
	b := openURL(t, n.url("groups=killed/g,killed/late"))
	ch := subscribe(t, b.Group("g"), "killed")
	var lanes sync.WaitGroup
	progress := make(chan struct{}, 1000)
	for lane := range 2 {
		lanes.Go(func() {
			for from := 0; from < each && t.Context().Err() == nil; from += 500 {
				var left []broker.Outgoing
				for i := from; i < from+500; i++ {
					msg := message.NewMessage(fmt.Sprintf("%d-%d", lane, i), make([]byte, 100))
					msg.Metadata.Set("sluicegate_key", fmt.Sprint(lane))
					left = append(left, broker.Outgoing{Topic: "killed", Message: msg})
				}
				for len(left) > 0 && t.Context().Err() == nil {
					if left = unacknowledged(t, left, b.PublishBatch(t.Context(), left)); len(left) > 0 {
						<-time.After(20 * time.Millisecond)
					}
				}
				progress <- struct{}{}
			}
		})
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range 6 { // batches
			<-progress
		}
		n.kill(t)
		n.start(t)
	}()
	finish := func(ch <-chan *message.Message) (deliveries int) {
		highest := map[int]int{0: -1, 1: -1}
		for ; highest[0] < each-1 || highest[1] < each-1; deliveries++ {
			msg := next(t, ch)
			var lane, i int
			_, _ = fmt.Sscanf(msg.UUID, "%d-%d", &lane, &i)
			if i > highest[lane]+1 {
				t.Fatalf("lane %d: %d came before %d", lane, i, highest[lane]+1)
			}
			highest[lane] = max(highest[lane], i)
			msg.Ack()
		}
		return deliveries
	}
	first := finish(ch)
	lanes.Wait()
	<-killed
	late := finish(subscribe(t, b.Group("late"), "killed"))
	t.Logf("%d messages: %d deliveries while the server was killed, %d of the group that came later", 2*each, first, late)
}
