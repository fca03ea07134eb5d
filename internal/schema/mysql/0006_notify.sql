CREATE TABLE IF NOT EXISTS {notify_target} (
  name            VARBINARY(255) NOT NULL PRIMARY KEY,
  url             LONGTEXT NOT NULL,
  secrets         LONGTEXT NOT NULL,
  access          LONGTEXT NOT NULL,
  options         LONGTEXT NOT NULL,
  status          VARBINARY(16) NOT NULL,
  reason          LONGTEXT NOT NULL,
  throttled_until BIGINT NOT NULL DEFAULT 0,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS {notify_message} (
  id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid          VARBINARY(32) NOT NULL,
  target       VARBINARY(255) NOT NULL,
  request      VARBINARY(255) NOT NULL,
  type         VARBINARY(255) NOT NULL DEFAULT '',
  content_type VARBINARY(255) NOT NULL DEFAULT '',
  payload      LONGBLOB,
  digest       VARBINARY(64) NOT NULL,
  status       VARBINARY(16) NOT NULL,
  round        BIGINT NOT NULL DEFAULT 1,
  attempts     BIGINT NOT NULL DEFAULT 0,
  base         BIGINT NOT NULL DEFAULT 0,
  since_at     BIGINT NOT NULL DEFAULT 0,
  next_at      BIGINT NOT NULL DEFAULT 0,
  last_status  BIGINT NOT NULL DEFAULT 0,
  last_error   LONGTEXT NOT NULL,
  touched      BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  confirmed_at BIGINT NOT NULL DEFAULT 0,
  finished_at  BIGINT NOT NULL DEFAULT 0,
  UNIQUE `{prefix}notify_message_uid` (uid),
  INDEX `{prefix}notify_message_window` (target, created_at, id),
  INDEX `{prefix}notify_message_status` (target, status, created_at, id),
  INDEX `{prefix}notify_message_finished` (status, finished_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS {notify_attempt} (
  id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid         VARBINARY(32) NOT NULL,
  round       BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  began_at    BIGINT NOT NULL,
  duration    BIGINT NOT NULL,
  result      VARBINARY(16) NOT NULL,
  status      BIGINT NOT NULL DEFAULT 0,
  response    LONGTEXT NOT NULL,
  error       LONGTEXT NOT NULL,
  INDEX `{prefix}notify_attempt_uid` (uid, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS {notify_action} (
  id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at         BIGINT NOT NULL,
  actor      VARBINARY(255) NOT NULL,
  action     VARBINARY(32) NOT NULL,
  target     VARBINARY(255) NOT NULL,
  request    VARBINARY(255) NOT NULL DEFAULT '',
  detail     LONGTEXT NOT NULL,
  INDEX `{prefix}notify_action_target` (target, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
