CREATE TABLE IF NOT EXISTS {object} (
  sync_name  TEXT NOT NULL,
  entity     TEXT NOT NULL,
  object_key TEXT NOT NULL,
  status     TEXT NOT NULL,
  dirty      INTEGER NOT NULL,
  version    INTEGER NOT NULL DEFAULT 0,
  hash       TEXT NOT NULL DEFAULT '',
  size       INTEGER NOT NULL DEFAULT 0,
  etag       TEXT NOT NULL DEFAULT '',
  override   INTEGER NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT '',
  touched    INTEGER NOT NULL DEFAULT 0,
  marked_at  INTEGER NOT NULL,
  synced_at  INTEGER NOT NULL DEFAULT 0,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (sync_name, entity)
);
CREATE INDEX IF NOT EXISTS "{prefix}object_key" ON {object} (sync_name, object_key);
CREATE INDEX IF NOT EXISTS "{prefix}object_status" ON {object} (sync_name, status, entity);
CREATE TABLE IF NOT EXISTS {object_action} (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  sync_name  TEXT NOT NULL,
  entity     TEXT NOT NULL,
  action     TEXT NOT NULL,
  actor      TEXT NOT NULL,
  note       TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}object_action_entity" ON {object_action} (sync_name, entity, id);
CREATE INDEX IF NOT EXISTS "{prefix}object_action_name" ON {object_action} (sync_name, id);
