CREATE TABLE IF NOT EXISTS {call} (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  service       TEXT NOT NULL,
  number        TEXT NOT NULL,
  kind          TEXT NOT NULL DEFAULT '',
  method        TEXT NOT NULL,
  url           TEXT NOT NULL,
  headers       TEXT NOT NULL,
  body          BLOB,
  status        TEXT NOT NULL,
  source        TEXT NOT NULL DEFAULT '',
  result_code   TEXT NOT NULL DEFAULT '',
  result_reason TEXT NOT NULL DEFAULT '',
  result_data   BLOB,
  sends         INTEGER NOT NULL DEFAULT 0,
  queries       INTEGER NOT NULL DEFAULT 0,
  callbacks     INTEGER NOT NULL DEFAULT 0,
  repeated      INTEGER NOT NULL DEFAULT 0,
  late          INTEGER NOT NULL DEFAULT 0,
  contradicted  INTEGER NOT NULL DEFAULT 0,
  history       INTEGER NOT NULL DEFAULT 0,
  error         TEXT NOT NULL DEFAULT '',
  deadline_at   INTEGER NOT NULL,
  sent_at       INTEGER NOT NULL DEFAULT 0,
  ended_at      INTEGER NOT NULL DEFAULT 0,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}call_number" ON {call} (service, number);
CREATE INDEX IF NOT EXISTS "{prefix}call_service" ON {call} (service);
CREATE INDEX IF NOT EXISTS "{prefix}call_status" ON {call} (service, status);
CREATE INDEX IF NOT EXISTS "{prefix}call_kind" ON {call} (service, kind);
CREATE INDEX IF NOT EXISTS "{prefix}call_ended" ON {call} (service, ended_at) WHERE ended_at > 0;

CREATE TABLE IF NOT EXISTS {call_event} (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  service     TEXT NOT NULL,
  number      TEXT NOT NULL,
  kind        TEXT NOT NULL,
  source      TEXT NOT NULL DEFAULT '',
  status      TEXT NOT NULL DEFAULT '',
  detail      TEXT NOT NULL DEFAULT '',
  data        BLOB,
  happened_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}call_event_number" ON {call_event} (service, number);
