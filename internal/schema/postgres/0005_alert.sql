CREATE TABLE IF NOT EXISTS {alert} (
  kind       VARCHAR(16) COLLATE "C" NOT NULL,
  id         VARCHAR(128) COLLATE "C" NOT NULL,
  version    BIGINT NOT NULL,
  due_at     BIGINT NOT NULL DEFAULT 0,
  data       TEXT NOT NULL,
  created_at BIGINT NOT NULL DEFAULT ({now}),
  updated_at BIGINT NOT NULL DEFAULT ({now}),
  PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS "{prefix}alert_due" ON {alert} (due_at);
