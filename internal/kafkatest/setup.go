package kafkatest

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
)

// programs returns the Java to run and the folder with Kafka's jars.
func programs() (java, lib string, err error) {
	java = "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	if _, err := exec.LookPath(java); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if lib = os.Getenv(LibVariable); lib == "" {
		return "", "", fmt.Errorf("%w: %s is not set: eval \"$(scripts/services env)\"", ErrUnavailable, LibVariable)
	}
	if found, err := filepath.Glob(filepath.Join(lib, "kafka_*.jar")); err != nil || len(found) == 0 {
		return "", "", fmt.Errorf("%w: %s has no jars of Kafka", ErrUnavailable, LibVariable)
	}
	return java, lib, nil
}

// configure writes the properties.
func (s *Server) configure(controller string, overrides []string) error {
	listeners, advertised, protocols := "MAIN://"+s.Addr, "MAIN://"+s.Addr, "MAIN:PLAINTEXT"
	if s.Advertised != "" {
		listeners += ",SECOND://" + s.listeners[1]
		advertised += ",SECOND://" + s.Advertised
		protocols += ",SECOND:PLAINTEXT"
	}
	properties := append([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=MAIN",
		"listeners=" + listeners + ",CONTROLLER://" + controller,
		"advertised.listeners=" + advertised,
		"listener.security.protocol.map=" + protocols + ",CONTROLLER:PLAINTEXT",
		"log.dirs=" + s.file("data"),
		"offsets.topic.num.partitions=1",
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"min.insync.replicas=1",
		"group.initial.rebalance.delay.ms=0",
	}, overrides...)
	logging := []string{
		"status = warn",
		"appender.out.type = Console",
		"appender.out.name = out",
		"appender.out.layout.type = PatternLayout",
		"rootLogger.level = warn",
		"rootLogger.appenderRef.out.ref = out",
	}
	return errors.Join(s.write("server.properties", properties), s.write("log4j2.properties", logging))
}

func (s *Server) write(name string, lines []string) error {
	if err := os.WriteFile(s.file(name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write Kafka's configuration: %w", err)
	}
	return nil
}

// format makes the empty log.
func (s *Server) format(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	uuid := strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(id))
	args := slices.Concat([]string{"-Xmx256m"}, s.options(),
		[]string{"kafka.tools.StorageTool", "format", "-t", uuid, "-c", s.file("server.properties")})
	if out, err := exec.CommandContext(ctx, s.java, args...).CombinedOutput(); err != nil { //nolint:gosec // the operator's own Java
		return fmt.Errorf("format Kafka's folder: %w: %.500s", err, out)
	}
	return nil
}

func (s *Server) options() []string {
	return []string{
		"-XX:-UsePerfData", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + s.file("log4j2.properties"), "-cp", filepath.Join(s.lib, "*"),
	}
}

// freePorts returns addresses that were free a moment ago.
func freePorts(n int) (addrs []string, err error) {
	var open []net.Listener
	for range n {
		l, listenErr := net.Listen("tcp", "127.0.0.1:0")
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
