CREATE TABLE IF NOT EXISTS {task} (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  queue       TEXT NOT NULL,
  target      TEXT NOT NULL DEFAULT '',
  task_key    TEXT NOT NULL,
  task_group  TEXT NOT NULL DEFAULT '',
  status      TEXT NOT NULL,
  payload     BLOB,
  state       BLOB,
  error       TEXT NOT NULL DEFAULT '',
  attempts    INTEGER NOT NULL DEFAULT 0,
  fence       INTEGER NOT NULL DEFAULT 0,
  touched     INTEGER NOT NULL DEFAULT 0,
  due_at      INTEGER NOT NULL,
  claim_at    INTEGER,
  unique_hash BLOB,
  group_hash  BLOB,
  group_head  BLOB,
  created_at  INTEGER NOT NULL DEFAULT ({now}),
  updated_at  INTEGER NOT NULL DEFAULT ({now}),
  finished_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS "{prefix}task_claim" ON {task} (queue, claim_at) WHERE claim_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_target" ON {task} (queue, target, claim_at) WHERE claim_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_status" ON {task} (queue, status, finished_at);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}task_unique" ON {task} (unique_hash) WHERE unique_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_group" ON {task} (group_hash) WHERE group_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}task_head" ON {task} (group_head) WHERE group_head IS NOT NULL;
