CREATE TABLE IF NOT EXISTS {queue_topic} (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS {queue_group} (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  topic_id     INTEGER NOT NULL,
  name         TEXT NOT NULL,
  backlog_from INTEGER NOT NULL DEFAULT 0,
  backlog_to   INTEGER NOT NULL DEFAULT 0,
  created_at   INTEGER NOT NULL DEFAULT ({now}),
  UNIQUE (topic_id, name)
);

CREATE TABLE IF NOT EXISTS {queue_message} (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  topic_id     INTEGER NOT NULL,
  shard        INTEGER NOT NULL DEFAULT 0,
  key_hash     INTEGER NOT NULL DEFAULT 0,
  message_key  BLOB NOT NULL DEFAULT x'',
  message_uuid TEXT NOT NULL DEFAULT '',
  payload      BLOB,
  headers      BLOB NOT NULL DEFAULT '{}',
  created_at   INTEGER NOT NULL DEFAULT ({now})
);
CREATE INDEX IF NOT EXISTS "{prefix}queue_message_topic" ON {queue_message} (topic_id, id);

CREATE TABLE IF NOT EXISTS {queue_pending} (
  group_id   INTEGER NOT NULL,
  shard      INTEGER NOT NULL,
  message_id INTEGER NOT NULL,
  key_hash   INTEGER NOT NULL,
  PRIMARY KEY (group_id, shard, message_id)
) WITHOUT ROWID;
