package redis

import (
	"context"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// inspectOnce looks at the server's settings in the background, once, after it
// was first reached.
func (d *driver) inspectOnce() {
	if d.inspected.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil { // nobody waits any more
		return
	}
	d.wg.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, d.dialTimeout+time.Second)
		defer cancel()
		l := d.newLine(replyTimeout)
		defer l.close()
		_ = l.do(ctx, func(c *goredis.Client) error {
			d.inspect(ctx, c)
			return nil
		})
	})
}

// inspect logs, once, what a user of this server has to know. A server that
// does not tell is not asked twice.
func (d *driver) inspect(ctx context.Context, c *goredis.Client) {
	if !d.inspected.CompareAndSwap(false, true) {
		return
	}
	info, err := c.Info(ctx).Result()
	if err != nil {
		d.logger.Debug("redis does not tell its settings", "err", err)
		return
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "aof_enabled" && value == "0":
			d.logger.Warn("redis keeps no append-only file: a crash of the server loses what was published since its last snapshot",
				"setting", "appendonly", "want", "yes")
		case name == "maxmemory_policy" && strings.HasPrefix(value, "allkeys-"):
			d.logger.Warn("redis may evict whole streams, read or not, when its memory is full",
				"setting", "maxmemory-policy", "is", value, "want", "noeviction")
		case name == "cluster_enabled" && value == "1":
			d.logger.Warn("redis is a node of a cluster, which is not supported: topics of other nodes cannot be used")
		}
	}
	fsync := c.ConfigGet(ctx, "appendfsync").Val()["appendfsync"] // empty where CONFIG is forbidden
	if fsync == "everysec" || fsync == "no" {
		d.logger.Info("a crash of redis's machine may lose the last messages that it has confirmed",
			"setting", "appendfsync", "is", fsync, "want", "always")
	}
}
