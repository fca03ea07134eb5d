ALTER TABLE {dead_letter}
  ADD COLUMN ref            VARBINARY(64),
  ADD COLUMN fingerprint    VARCHAR(32) NOT NULL DEFAULT '',
  ADD COLUMN subscriber     VARBINARY(255) NOT NULL DEFAULT '',
  ADD COLUMN epoch          BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN previous_id    BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN redrive_id     BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN redriven_at    BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN edited_payload LONGBLOB,
  ADD COLUMN edited_headers LONGTEXT;
ALTER TABLE {dead_letter} ADD UNIQUE INDEX `{prefix}dead_letter_ref` (ref);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_key` (message_key);
-- Each answers the questions that begin with its first columns without a look
-- at the rows, in the order of the ids.
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_status` (status, id, dead_at);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_consumer` (status, consumer, id, dead_at, fingerprint);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_scope` (status, handler, id, topic, consumer, dead_at, fingerprint);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_topic` (status, topic, id, consumer, dead_at, fingerprint);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_group` (status, fingerprint, id, dead_at);
ALTER TABLE {dead_letter} ADD INDEX `{prefix}dead_letter_age` (status, dead_at, id);

CREATE TABLE IF NOT EXISTS {dead_letter_action} (
  id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  kind        VARCHAR(16) NOT NULL,
  actor       VARBINARY(255) NOT NULL,
  note        LONGTEXT NOT NULL,
  selection   LONGTEXT NOT NULL,
  state       VARCHAR(16) NOT NULL,
  total       BIGINT NOT NULL DEFAULT 0,
  done        BIGINT NOT NULL DEFAULT 0,
  skipped     BIGINT NOT NULL DEFAULT 0,
  stale       BIGINT NOT NULL DEFAULT 0,
  error       LONGTEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  finished_at BIGINT NOT NULL DEFAULT 0
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
