CREATE TABLE IF NOT EXISTS {queue_topic} (
  id   INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name VARCHAR(255) NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS {queue_group} (
  id           INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic_id     INTEGER NOT NULL,
  name         VARCHAR(255) NOT NULL,
  backlog_from BIGINT NOT NULL DEFAULT 0,
  backlog_to   BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL DEFAULT ({now}),
  UNIQUE (topic_id, name)
);

CREATE TABLE IF NOT EXISTS {queue_message} (
  topic_id     INTEGER NOT NULL,
  id           BIGINT GENERATED ALWAYS AS IDENTITY,
  shard        SMALLINT NOT NULL DEFAULT 0,
  key_hash     BIGINT NOT NULL DEFAULT 0,
  message_key  BYTEA NOT NULL DEFAULT '',
  message_uuid VARCHAR(255) NOT NULL DEFAULT '',
  payload      BYTEA,
  headers      BYTEA NOT NULL DEFAULT '{}',
  created_at   BIGINT NOT NULL DEFAULT ({now}),
  PRIMARY KEY (topic_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE IF NOT EXISTS {queue_pending} (
  group_id   INTEGER NOT NULL,
  shard      SMALLINT NOT NULL,
  message_id BIGINT NOT NULL,
  key_hash   BIGINT NOT NULL,
  PRIMARY KEY (group_id, shard, message_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
