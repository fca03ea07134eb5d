CREATE TABLE IF NOT EXISTS {task} (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue       VARCHAR(64) NOT NULL,
  target      VARCHAR(255) NOT NULL DEFAULT '',
  task_key    VARCHAR(255) NOT NULL,
  task_group  VARCHAR(255) NOT NULL DEFAULT '',
  status      VARCHAR(16) NOT NULL,
  payload     BYTEA,
  state       BYTEA,
  error       TEXT NOT NULL DEFAULT '',
  attempts    BIGINT NOT NULL DEFAULT 0,
  fence       BIGINT NOT NULL DEFAULT 0,
  touched     BIGINT NOT NULL DEFAULT 0,
  due_at      BIGINT NOT NULL,
  claim_at    BIGINT,
  unique_hash BYTEA,
  group_hash  BYTEA,
  group_head  BYTEA,
  created_at  BIGINT NOT NULL DEFAULT ({now}),
  updated_at  BIGINT NOT NULL DEFAULT ({now}),
  finished_at BIGINT NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX IF NOT EXISTS "{prefix}task_claim" ON {task} (queue, claim_at, id) WHERE claim_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_target" ON {task} (queue, target, claim_at, id) WHERE claim_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_status" ON {task} (queue, status, finished_at, id);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}task_unique" ON {task} (unique_hash) WHERE unique_hash IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{prefix}task_group" ON {task} (group_hash, id) WHERE group_hash IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}task_head" ON {task} (group_head) WHERE group_head IS NOT NULL;
