CREATE TABLE IF NOT EXISTS {object} (
  sync_name  VARCHAR(64) NOT NULL,
  entity     VARCHAR(255) NOT NULL,
  object_key TEXT COLLATE "C" NOT NULL,
  status     VARCHAR(16) NOT NULL,
  dirty      BIGINT NOT NULL,
  version    BIGINT NOT NULL DEFAULT 0,
  hash       VARCHAR(64) NOT NULL DEFAULT '',
  size       BIGINT NOT NULL DEFAULT 0,
  etag       VARCHAR(255) NOT NULL DEFAULT '',
  override   SMALLINT NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT '',
  touched    BIGINT NOT NULL DEFAULT 0,
  marked_at  BIGINT NOT NULL,
  synced_at  BIGINT NOT NULL DEFAULT 0,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (sync_name, entity)
);
CREATE INDEX IF NOT EXISTS "{prefix}object_key" ON {object} (sync_name, object_key);
CREATE INDEX IF NOT EXISTS "{prefix}object_status" ON {object} (sync_name, status, entity);
CREATE TABLE IF NOT EXISTS {object_action} (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sync_name  VARCHAR(64) NOT NULL,
  entity     VARCHAR(255) NOT NULL,
  action     VARCHAR(32) NOT NULL,
  actor      VARCHAR(255) NOT NULL,
  note       TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}object_action_entity" ON {object_action} (sync_name, entity, id);
CREATE INDEX IF NOT EXISTS "{prefix}object_action_name" ON {object_action} (sync_name, id);
