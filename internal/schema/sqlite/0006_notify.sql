CREATE TABLE IF NOT EXISTS {notify_target} (
  name            TEXT NOT NULL PRIMARY KEY,
  url             TEXT NOT NULL,
  secrets         TEXT NOT NULL,
  access          TEXT NOT NULL,
  options         TEXT NOT NULL,
  status          TEXT NOT NULL,
  reason          TEXT NOT NULL DEFAULT '',
  throttled_until INTEGER NOT NULL DEFAULT 0,
  created_at      INTEGER NOT NULL DEFAULT ({now}),
  updated_at      INTEGER NOT NULL DEFAULT ({now})
);
CREATE TABLE IF NOT EXISTS {notify_message} (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  uid          TEXT NOT NULL,
  target       TEXT NOT NULL,
  request      TEXT NOT NULL,
  type         TEXT NOT NULL DEFAULT '',
  content_type TEXT NOT NULL DEFAULT '',
  payload      BLOB,
  digest       TEXT NOT NULL,
  status       TEXT NOT NULL,
  round        INTEGER NOT NULL DEFAULT 1,
  attempts     INTEGER NOT NULL DEFAULT 0,
  base         INTEGER NOT NULL DEFAULT 0,
  since_at     INTEGER NOT NULL DEFAULT 0,
  next_at      INTEGER NOT NULL DEFAULT 0,
  last_status  INTEGER NOT NULL DEFAULT 0,
  last_error   TEXT NOT NULL DEFAULT '',
  touched      INTEGER NOT NULL DEFAULT 0,
  created_at   INTEGER NOT NULL DEFAULT ({now}),
  updated_at   INTEGER NOT NULL DEFAULT ({now}),
  confirmed_at INTEGER NOT NULL DEFAULT 0,
  finished_at  INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}notify_message_uid" ON {notify_message} (uid);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_window" ON {notify_message} (target, created_at, id);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_status" ON {notify_message} (target, status, created_at, id);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_finished" ON {notify_message} (status, finished_at);
CREATE TABLE IF NOT EXISTS {notify_attempt} (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  uid         TEXT NOT NULL,
  round       INTEGER NOT NULL,
  number      INTEGER NOT NULL,
  began_at    INTEGER NOT NULL,
  duration    INTEGER NOT NULL,
  result      TEXT NOT NULL,
  status      INTEGER NOT NULL DEFAULT 0,
  response    TEXT NOT NULL,
  error       TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}notify_attempt_uid" ON {notify_attempt} (uid, id);
CREATE TABLE IF NOT EXISTS {notify_action} (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL DEFAULT ({now}),
  actor      TEXT NOT NULL,
  action     TEXT NOT NULL,
  target     TEXT NOT NULL,
  request    TEXT NOT NULL DEFAULT '',
  detail     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}notify_action_target" ON {notify_action} (target, id);
