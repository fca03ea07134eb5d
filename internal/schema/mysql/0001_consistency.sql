CREATE TABLE IF NOT EXISTS {outbox} (
  id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  shard        SMALLINT NOT NULL,
  topic        VARBINARY(255) NOT NULL,
  message_key  VARBINARY(1024) NOT NULL DEFAULT '',
  message_uuid VARBINARY(255) NOT NULL,
  payload      LONGBLOB,
  headers      LONGTEXT NOT NULL,
  traceparent  VARCHAR(64) NOT NULL DEFAULT '',
  tracestate   VARCHAR(1024) NOT NULL DEFAULT '',
  attempts     INTEGER NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  INDEX `{prefix}outbox_shard_id` (shard, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {outbox_history} (
  id           BIGINT PRIMARY KEY,
  status       VARCHAR(16) NOT NULL,
  topic        VARBINARY(255) NOT NULL,
  message_key  VARBINARY(1024) NOT NULL,
  message_uuid VARBINARY(255) NOT NULL,
  payload      LONGBLOB,
  headers      LONGTEXT NOT NULL,
  traceparent  VARCHAR(64) NOT NULL,
  tracestate   VARCHAR(1024) NOT NULL,
  attempts     INTEGER NOT NULL,
  error        LONGTEXT,
  created_at   BIGINT NOT NULL,
  settled_at   BIGINT NOT NULL,
  INDEX `{prefix}outbox_history_settled` (status, settled_at),
  INDEX `{prefix}outbox_history_uuid` (message_uuid)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {lease} (
  name       VARBINARY(128) PRIMARY KEY,
  owner      VARBINARY(128) NOT NULL,
  fence      BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {inbox} (
  handler     VARBINARY(255) NOT NULL,
  message_key VARBINARY(255) NOT NULL,
  status      VARCHAR(16) NOT NULL,
  token       VARBINARY(64) NOT NULL DEFAULT '',
  attempts    BIGINT NOT NULL DEFAULT 0,
  epoch       BIGINT NOT NULL DEFAULT 0,
  fingerprint VARCHAR(64) NOT NULL DEFAULT '',
  result      LONGBLOB,
  lease_until BIGINT NOT NULL DEFAULT 0,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (handler, message_key),
  INDEX `{prefix}inbox_expires` (expires_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {dead_letter} (
  id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  status        VARCHAR(16) NOT NULL,
  consumer      VARBINARY(255) NOT NULL DEFAULT '',
  handler       VARBINARY(255) NOT NULL,
  topic         VARBINARY(255) NOT NULL,
  message_key   VARBINARY(255) NOT NULL,
  message_uuid  VARBINARY(255) NOT NULL,
  payload       LONGBLOB,
  headers       LONGTEXT NOT NULL,
  reason        LONGTEXT NOT NULL,
  attempt_count INTEGER NOT NULL,
  attempts      LONGTEXT NOT NULL,
  dead_at       BIGINT NOT NULL,
  INDEX `{prefix}dead_letter_handler` (handler, id),
  INDEX `{prefix}dead_letter_uuid` (message_uuid)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
