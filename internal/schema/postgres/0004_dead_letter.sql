ALTER TABLE {dead_letter}
  ADD COLUMN IF NOT EXISTS ref            VARCHAR(64),
  ADD COLUMN IF NOT EXISTS fingerprint    VARCHAR(32) NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS subscriber     VARCHAR(255) NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS epoch          BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS previous_id    BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS redrive_id     BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS redriven_at    BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS edited_payload BYTEA,
  ADD COLUMN IF NOT EXISTS edited_headers TEXT;
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}dead_letter_ref" ON {dead_letter} (ref);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_key" ON {dead_letter} (message_key);
-- Each answers the questions that begin with its first columns without a look
-- at the rows, in the order of the ids.
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_status" ON {dead_letter} (status, id, dead_at);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_consumer" ON {dead_letter} (status, consumer, id, dead_at, fingerprint);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_scope" ON {dead_letter} (status, handler, id, topic, consumer, dead_at, fingerprint);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_topic" ON {dead_letter} (status, topic, id, consumer, dead_at, fingerprint);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_group" ON {dead_letter} (status, fingerprint, id, dead_at);
CREATE INDEX IF NOT EXISTS "{prefix}dead_letter_age" ON {dead_letter} (status, dead_at, id);

CREATE TABLE IF NOT EXISTS {dead_letter_action} (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        VARCHAR(16) NOT NULL,
  actor       VARCHAR(255) NOT NULL,
  note        TEXT NOT NULL,
  selection   TEXT NOT NULL,
  state       VARCHAR(16) NOT NULL,
  total       BIGINT NOT NULL DEFAULT 0,
  done        BIGINT NOT NULL DEFAULT 0,
  skipped     BIGINT NOT NULL DEFAULT 0,
  stale       BIGINT NOT NULL DEFAULT 0,
  error       TEXT NOT NULL,
  created_at  BIGINT NOT NULL DEFAULT ({now}),
  updated_at  BIGINT NOT NULL DEFAULT ({now}),
  finished_at BIGINT NOT NULL DEFAULT 0
);
