CREATE TABLE IF NOT EXISTS {call} (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  service       VARCHAR(64) COLLATE "C" NOT NULL,
  number        VARCHAR(255) COLLATE "C" NOT NULL,
  kind          VARCHAR(255) COLLATE "C" NOT NULL DEFAULT '',
  method        VARCHAR(32) NOT NULL,
  url           TEXT NOT NULL,
  headers       TEXT NOT NULL,
  body          BYTEA,
  status        VARCHAR(16) NOT NULL,
  source        VARCHAR(16) NOT NULL DEFAULT '',
  result_code   VARCHAR(255) NOT NULL DEFAULT '',
  result_reason TEXT NOT NULL DEFAULT '',
  result_data   BYTEA,
  sends         BIGINT NOT NULL DEFAULT 0,
  queries       BIGINT NOT NULL DEFAULT 0,
  callbacks     BIGINT NOT NULL DEFAULT 0,
  repeated      BIGINT NOT NULL DEFAULT 0,
  late          BIGINT NOT NULL DEFAULT 0,
  contradicted  BIGINT NOT NULL DEFAULT 0,
  history       BIGINT NOT NULL DEFAULT 0,
  error         TEXT NOT NULL DEFAULT '',
  deadline_at   BIGINT NOT NULL,
  sent_at       BIGINT NOT NULL DEFAULT 0,
  ended_at      BIGINT NOT NULL DEFAULT 0,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}call_number" ON {call} (service, number);
CREATE INDEX IF NOT EXISTS "{prefix}call_service" ON {call} (service, id);
CREATE INDEX IF NOT EXISTS "{prefix}call_status" ON {call} (service, status, id);
CREATE INDEX IF NOT EXISTS "{prefix}call_kind" ON {call} (service, kind, id);
CREATE INDEX IF NOT EXISTS "{prefix}call_ended" ON {call} (service, ended_at, id) WHERE ended_at > 0;

CREATE TABLE IF NOT EXISTS {call_event} (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  service     VARCHAR(64) COLLATE "C" NOT NULL,
  number      VARCHAR(255) COLLATE "C" NOT NULL,
  kind        VARCHAR(16) NOT NULL,
  source      VARCHAR(16) NOT NULL DEFAULT '',
  status      VARCHAR(16) NOT NULL DEFAULT '',
  detail      TEXT NOT NULL DEFAULT '',
  data        BYTEA,
  happened_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}call_event_number" ON {call_event} (service, number, id);
