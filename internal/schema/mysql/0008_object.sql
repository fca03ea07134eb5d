CREATE TABLE IF NOT EXISTS {object} (
  sync_name  VARBINARY(64) NOT NULL,
  entity     VARBINARY(255) NOT NULL,
  object_key VARBINARY(1024) NOT NULL,
  status     VARCHAR(16) NOT NULL,
  dirty      BIGINT NOT NULL,
  version    BIGINT NOT NULL DEFAULT 0,
  hash       VARCHAR(64) NOT NULL DEFAULT '',
  size       BIGINT NOT NULL DEFAULT 0,
  etag       VARCHAR(255) NOT NULL DEFAULT '',
  override   SMALLINT NOT NULL DEFAULT 0,
  error      LONGTEXT NOT NULL,
  touched    BIGINT NOT NULL DEFAULT 0,
  marked_at  BIGINT NOT NULL,
  synced_at  BIGINT NOT NULL DEFAULT 0,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (sync_name, entity),
  INDEX `{prefix}object_key` (sync_name, object_key),
  INDEX `{prefix}object_status` (sync_name, status, entity)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS {object_action} (
  id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sync_name  VARBINARY(64) NOT NULL,
  entity     VARBINARY(255) NOT NULL,
  action     VARCHAR(32) NOT NULL,
  actor      VARCHAR(255) NOT NULL,
  note       LONGTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  INDEX `{prefix}object_action_entity` (sync_name, entity, id),
  INDEX `{prefix}object_action_name` (sync_name, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
