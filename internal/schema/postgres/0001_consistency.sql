CREATE TABLE IF NOT EXISTS {outbox} (
  -- Evaluated before id: a transaction has its own number before it takes an id,
  -- which lets the relay tell which transactions may still bring one to light.
  xact         XID8 NOT NULL DEFAULT pg_current_xact_id(),
  id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard        SMALLINT NOT NULL,
  topic        VARCHAR(255) NOT NULL,
  message_key  TEXT NOT NULL DEFAULT '',
  message_uuid VARCHAR(255) NOT NULL,
  payload      BYTEA,
  headers      TEXT NOT NULL DEFAULT '{}',
  traceparent  VARCHAR(64) NOT NULL DEFAULT '',
  tracestate   TEXT NOT NULL DEFAULT '',
  attempts     INTEGER NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL DEFAULT ({now})
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX IF NOT EXISTS "{prefix}outbox_shard_id" ON {outbox} (shard, id);

CREATE TABLE IF NOT EXISTS {outbox_history} (
  id           BIGINT PRIMARY KEY,
  status       VARCHAR(16) NOT NULL,
  topic        VARCHAR(255) NOT NULL,
  message_key  TEXT NOT NULL,
  message_uuid VARCHAR(255) NOT NULL,
  payload      BYTEA,
  headers      TEXT NOT NULL,
  traceparent  VARCHAR(64) NOT NULL,
  tracestate   TEXT NOT NULL,
  attempts     INTEGER NOT NULL,
  error        TEXT,
  created_at   BIGINT NOT NULL,
  settled_at   BIGINT NOT NULL
);
-- Two in place of one on (status, settled_at), which costs a delivered row's move a little more.
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_settled" ON {outbox_history} (settled_at) WHERE status = 'delivered';
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_aside" ON {outbox_history} (status, settled_at) WHERE status <> 'delivered';
-- By hash: it answers whether a message was sent, and costs a third of what a tree does to keep.
CREATE INDEX IF NOT EXISTS "{prefix}outbox_history_uuid" ON {outbox_history} USING hash (message_uuid);

CREATE TABLE IF NOT EXISTS {lease} (
  name       VARCHAR(128) PRIMARY KEY,
  owner      VARCHAR(128) NOT NULL,
  fence      BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS {inbox} (
  handler     VARCHAR(255) NOT NULL,
  message_key VARCHAR(255) NOT NULL,
  status      VARCHAR(16) NOT NULL,
  token       VARCHAR(64) NOT NULL DEFAULT '',
  attempts    BIGINT NOT NULL DEFAULT 0,
  epoch       BIGINT NOT NULL DEFAULT 0,
  fingerprint VARCHAR(64) NOT NULL DEFAULT '',
  result      BYTEA,
  lease_until BIGINT NOT NULL DEFAULT 0,
  created_at  BIGINT NOT NULL DEFAULT ({now}),
  updated_at  BIGINT NOT NULL DEFAULT ({now}),
  expires_at  BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (handler, message_key)
);
CREATE INDEX IF NOT EXISTS "{prefix}inbox_expires" ON {inbox} (expires_at);

CREATE TABLE IF NOT EXISTS {dead_letter} (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  status        VARCHAR(16) NOT NULL,
  consumer      VARCHAR(255) NOT NULL DEFAULT '',
  handler       VARCHAR(255) NOT NULL,
  topic         VARCHAR(255) NOT NULL,
  message_key   VARCHAR(255) NOT NULL,
  message_uuid  VARCHAR(255) NOT NULL,
  payload       BYTEA,
  headers       TEXT NOT NULL,
  reason        TEXT NOT NULL,
  attempt_count INTEGER NOT NULL,
  attempts      TEXT NOT NULL,
  dead_at       BIGINT NOT NULL DEFAULT ({now})
);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_handler" ON {dead_letter} (handler, id);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_uuid" ON {dead_letter} (message_uuid);
