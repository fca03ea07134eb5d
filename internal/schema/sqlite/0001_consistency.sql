CREATE TABLE IF NOT EXISTS {outbox} (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  shard        INTEGER NOT NULL,
  topic        TEXT NOT NULL,
  message_key  TEXT NOT NULL DEFAULT '',
  message_uuid TEXT NOT NULL,
  payload      BLOB,
  headers      TEXT NOT NULL DEFAULT '{}',
  traceparent  TEXT NOT NULL DEFAULT '',
  tracestate   TEXT NOT NULL DEFAULT '',
  attempts     INTEGER NOT NULL DEFAULT 0,
  created_at   INTEGER NOT NULL DEFAULT ({now})
);
CREATE INDEX IF NOT EXISTS "{prefix}outbox_shard_id" ON {outbox} (shard, id);

CREATE TABLE IF NOT EXISTS {outbox_history} (
  id           INTEGER PRIMARY KEY,
  status       TEXT NOT NULL,
  topic        TEXT NOT NULL,
  message_key  TEXT NOT NULL,
  message_uuid TEXT NOT NULL,
  payload      BLOB,
  headers      TEXT NOT NULL,
  traceparent  TEXT NOT NULL,
  tracestate   TEXT NOT NULL,
  attempts     INTEGER NOT NULL,
  error        TEXT,
  created_at   INTEGER NOT NULL,
  settled_at   INTEGER NOT NULL
);
-- Two in place of one on (status, settled_at), which costs a delivered row's move a little more. A query has to say a condition as it is here.
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_settled" ON {outbox_history} (settled_at) WHERE status = 'delivered';
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_aside" ON {outbox_history} (status, settled_at) WHERE status <> 'delivered';
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_uuid" ON {outbox_history} (message_uuid);

CREATE TABLE IF NOT EXISTS {lease} (
  name       TEXT PRIMARY KEY,
  owner      TEXT NOT NULL,
  fence      INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS {inbox} (
  handler     TEXT NOT NULL,
  message_key TEXT NOT NULL,
  status      TEXT NOT NULL,
  token       TEXT NOT NULL DEFAULT '',
  attempts    INTEGER NOT NULL DEFAULT 0,
  epoch       INTEGER NOT NULL DEFAULT 0,
  fingerprint TEXT NOT NULL DEFAULT '',
  result      BLOB,
  lease_until INTEGER NOT NULL DEFAULT 0,
  created_at  INTEGER NOT NULL DEFAULT ({now}),
  updated_at  INTEGER NOT NULL DEFAULT ({now}),
  expires_at  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (handler, message_key)
);
CREATE INDEX IF NOT EXISTS "{prefix}inbox_expires" ON {inbox} (expires_at);

CREATE TABLE IF NOT EXISTS {dead_letter} (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  status        TEXT NOT NULL,
  consumer      TEXT NOT NULL DEFAULT '',
  handler       TEXT NOT NULL,
  topic         TEXT NOT NULL,
  message_key   TEXT NOT NULL,
  message_uuid  TEXT NOT NULL,
  payload       BLOB,
  headers       TEXT NOT NULL,
  reason        TEXT NOT NULL,
  attempt_count INTEGER NOT NULL,
  attempts      TEXT NOT NULL,
  dead_at       INTEGER NOT NULL DEFAULT ({now})
);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_handler" ON {dead_letter} (handler, id);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_uuid" ON {dead_letter} (message_uuid);
