CREATE TABLE IF NOT EXISTS {alert} (
  kind       VARBINARY(16) NOT NULL,
  id         VARBINARY(128) NOT NULL,
  version    BIGINT NOT NULL,
  due_at     BIGINT NOT NULL DEFAULT 0,
  data       LONGTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (kind, id),
  INDEX `{prefix}alert_due` (due_at)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
