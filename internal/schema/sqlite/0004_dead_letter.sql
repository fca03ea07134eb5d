ALTER TABLE {dead_letter} ADD COLUMN ref TEXT;
ALTER TABLE {dead_letter} ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
ALTER TABLE {dead_letter} ADD COLUMN subscriber TEXT NOT NULL DEFAULT '';
ALTER TABLE {dead_letter} ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {dead_letter} ADD COLUMN previous_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {dead_letter} ADD COLUMN redrive_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {dead_letter} ADD COLUMN redriven_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE {dead_letter} ADD COLUMN edited_payload BLOB;
ALTER TABLE {dead_letter} ADD COLUMN edited_headers TEXT;
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
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        TEXT NOT NULL,
  actor       TEXT NOT NULL,
  note        TEXT NOT NULL,
  selection   TEXT NOT NULL,
  state       TEXT NOT NULL,
  total       INTEGER NOT NULL DEFAULT 0,
  done        INTEGER NOT NULL DEFAULT 0,
  skipped     INTEGER NOT NULL DEFAULT 0,
  stale       INTEGER NOT NULL DEFAULT 0,
  error       TEXT NOT NULL,
  created_at  INTEGER NOT NULL DEFAULT ({now}),
  updated_at  INTEGER NOT NULL DEFAULT ({now}),
  finished_at INTEGER NOT NULL DEFAULT 0
);
