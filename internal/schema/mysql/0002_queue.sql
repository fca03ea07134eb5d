CREATE TABLE IF NOT EXISTS {queue_topic} (
  id   INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARBINARY(255) NOT NULL UNIQUE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {queue_group} (
  id           INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  topic_id     INTEGER NOT NULL,
  name         VARBINARY(255) NOT NULL,
  backlog_from BIGINT NOT NULL DEFAULT 0,
  backlog_to   BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  UNIQUE (topic_id, name)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {queue_message} (
  id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  topic_id     INTEGER NOT NULL,
  shard        SMALLINT NOT NULL DEFAULT 0,
  key_hash     BIGINT NOT NULL DEFAULT 0,
  message_key  VARBINARY(1024) NOT NULL DEFAULT '',
  message_uuid VARBINARY(255) NOT NULL DEFAULT '',
  payload      LONGBLOB,
  headers      LONGBLOB NOT NULL,
  created_at   BIGINT NOT NULL,
  INDEX `{prefix}queue_message_topic` (topic_id, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {queue_pending} (
  group_id   INTEGER NOT NULL,
  shard      SMALLINT NOT NULL,
  message_id BIGINT NOT NULL,
  key_hash   BIGINT NOT NULL,
  PRIMARY KEY (group_id, shard, message_id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
