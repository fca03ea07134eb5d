CREATE TABLE IF NOT EXISTS {alert} (
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  version    INTEGER NOT NULL,
  due_at     INTEGER NOT NULL DEFAULT 0,
  data       TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT ({now}),
  updated_at INTEGER NOT NULL DEFAULT ({now}),
  PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS "{prefix}alert_due" ON {alert} (due_at);
