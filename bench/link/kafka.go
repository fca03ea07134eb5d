package link

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// LibVariable names the folder with Kafka's jars, where it is not the one that
// scripts/services has made.
const LibVariable = "BENCH_KAFKA_LIB"

// jars returns the folder with Kafka's jars.
func jars() (string, error) {
	if dir := os.Getenv(LibVariable); dir != "" {
		return dir, nil
	}
	for _, root := range []string{"..", "."} {
		found, err := filepath.Glob(filepath.Join(root, ".services", "kafka-*", "lib"))
		if err == nil && len(found) > 0 {
			return filepath.Abs(slices.Max(found))
		}
	}
	return "", fmt.Errorf("no Kafka to start: scripts/services has made none here; name the folder of its jars in %s", LibVariable)
}

// Kafka is a broker of the bench's own with two listeners: one behind a Proxy
// and a direct one.
type Kafka struct {
	Direct, Delayed string // URLs

	proxy *Proxy
	cmd   *exec.Cmd
	dir   string
	ended chan struct{} // closed when the process has ended
	stop  context.CancelFunc
}

const startPatience = 60 * time.Second

// StartKafka starts a broker whose delayed listener is advertised behind a
// proxy, and returns when it takes connections.
func StartKafka(ctx context.Context, delay time.Duration) (k *Kafka, err error) {
	lib, err := jars()
	if err != nil {
		return nil, err
	}
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	if _, err := exec.LookPath(java); err != nil {
		return nil, fmt.Errorf("no Java to start Kafka with: %w", err)
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	k = &Kafka{ended: make(chan struct{}), stop: func() {}, Direct: "kafka://" + ports[0]}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	if k.proxy, err = NewProxy(ports[1], delay); err != nil {
		return k, err
	}
	k.Delayed = "kafka://" + k.proxy.Addr()
	if k.dir, err = os.MkdirTemp("", "sluicegate-bench-kafka-"); err != nil {
		return k, fmt.Errorf("make folder: %w", err)
	}
	if err := k.configure(ports); err != nil {
		return k, err
	}
	return k, k.launch(ctx, java, lib, ports[:2])
}

// configure writes the properties. ports are those of the direct and delayed
// listeners and of the controller.
func (k *Kafka) configure(ports []string) error {
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[3]s
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listeners=DIRECT://%[1]s,DELAYED://%[2]s,CONTROLLER://%[3]s
advertised.listeners=DIRECT://%[1]s,DELAYED://%[4]s
listener.security.protocol.map=DIRECT:PLAINTEXT,DELAYED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[5]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
`, ports[0], ports[1], ports[2], k.proxy.Addr(), filepath.Join(k.dir, "data"))
	logging := `status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
`
	return errors.Join(
		os.WriteFile(k.file("server.properties"), []byte(properties), 0o600),
		os.WriteFile(k.file("log4j2.properties"), []byte(logging), 0o600),
	)
}

func (k *Kafka) file(name string) string { return filepath.Join(k.dir, name) }

func (k *Kafka) launch(ctx context.Context, java, lib string, listeners []string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	common := []string{"-XX:-UsePerfData", "-Djava.awt.headless=true", "-Dlog4j2.configurationFile=" + k.file("log4j2.properties"), "-cp", filepath.Join(lib, "*")}
	format := slices.Concat([]string{"-Xmx256m"}, common,
		[]string{"kafka.tools.StorageTool", "format", "-t", strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(id)), "-c", k.file("server.properties")})
	if out, err := exec.CommandContext(ctx, java, format...).CombinedOutput(); err != nil { //nolint:gosec // the operator's own Java
		return fmt.Errorf("format Kafka's folder: %w: %.500s", err, out)
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	server := slices.Concat([]string{"-Xms256m", "-Xmx1g"}, common, []string{"kafka.Kafka", k.file("server.properties")})
	k.cmd = exec.CommandContext(runCtx, java, server...) //nolint:gosec // the operator's own Java
	if err := k.cmd.Start(); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	go func() {
		defer close(k.ended)
		_ = k.cmd.Wait() // killed, or it failed: then nobody can connect
	}()
	for _, addr := range listeners {
		if err := k.answers(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

// answers returns when addr takes connections.
func (k *Kafka) answers(ctx context.Context, addr string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-k.ended:
			return errors.New("start Kafka: it has ended")
		case <-ctx.Done():
			return fmt.Errorf("wait for Kafka: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// Close ends the broker and removes what it has stored.
func (k *Kafka) Close() error {
	k.stop()
	if k.cmd != nil && k.cmd.Process != nil {
		<-k.ended
	}
	var err error
	if k.proxy != nil {
		err = k.proxy.Close()
	}
	if k.dir != "" {
		err = errors.Join(err, os.RemoveAll(k.dir))
	}
	return err
}

// freePorts returns addresses that were free a moment ago.
func freePorts(n int) (addrs []string, err error) {
	var open []net.Listener
	for range n {
		l, listenErr := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
		if listenErr != nil {
			err = fmt.Errorf("find a port: %w", listenErr)
			break
		}
		open, addrs = append(open, l), append(addrs, l.Addr().String())
	}
	for _, l := range open { // all at the end, so that they differ
		err = errors.Join(err, l.Close())
	}
	return addrs, err
}
