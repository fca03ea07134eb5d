CREATE TABLE IF NOT EXISTS {notify_target} (
  name            VARCHAR(255) COLLATE "C" NOT NULL PRIMARY KEY,
  url             TEXT NOT NULL,
  secrets         TEXT NOT NULL,
  access          TEXT NOT NULL,
  options         TEXT NOT NULL,
  status          VARCHAR(16) COLLATE "C" NOT NULL,
  reason          TEXT NOT NULL DEFAULT '',
  throttled_until BIGINT NOT NULL DEFAULT 0,
  created_at      BIGINT NOT NULL DEFAULT ({now}),
  updated_at      BIGINT NOT NULL DEFAULT ({now})
);
CREATE TABLE IF NOT EXISTS {notify_message} (
  id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid          VARCHAR(32) COLLATE "C" NOT NULL,
  target       VARCHAR(255) COLLATE "C" NOT NULL,
  request      VARCHAR(255) COLLATE "C" NOT NULL,
  type         VARCHAR(255) COLLATE "C" NOT NULL DEFAULT '',
  content_type VARCHAR(255) COLLATE "C" NOT NULL DEFAULT '',
  payload      BYTEA,
  digest       VARCHAR(64) COLLATE "C" NOT NULL,
  status       VARCHAR(16) COLLATE "C" NOT NULL,
  round        BIGINT NOT NULL DEFAULT 1,
  attempts     BIGINT NOT NULL DEFAULT 0,
  base         BIGINT NOT NULL DEFAULT 0,
  since_at     BIGINT NOT NULL DEFAULT 0,
  next_at      BIGINT NOT NULL DEFAULT 0,
  last_status  BIGINT NOT NULL DEFAULT 0,
  last_error   TEXT NOT NULL DEFAULT '',
  touched      BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL DEFAULT ({now}),
  updated_at   BIGINT NOT NULL DEFAULT ({now}),
  confirmed_at BIGINT NOT NULL DEFAULT 0,
  finished_at  BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS "{prefix}notify_message_uid" ON {notify_message} (uid);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_window" ON {notify_message} (target, created_at, id);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_status" ON {notify_message} (target, status, created_at, id);
CREATE INDEX IF NOT EXISTS "{prefix}notify_message_finished" ON {notify_message} (status, finished_at);
CREATE TABLE IF NOT EXISTS {notify_attempt} (
  id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid         VARCHAR(32) COLLATE "C" NOT NULL,
  round       BIGINT NOT NULL,
  number      BIGINT NOT NULL,
  began_at    BIGINT NOT NULL,
  duration    BIGINT NOT NULL,
  result      VARCHAR(16) COLLATE "C" NOT NULL,
  status      BIGINT NOT NULL DEFAULT 0,
  response    TEXT NOT NULL,
  error       TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}notify_attempt_uid" ON {notify_attempt} (uid, id);
CREATE TABLE IF NOT EXISTS {notify_action} (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         BIGINT NOT NULL DEFAULT ({now}),
  actor      VARCHAR(255) COLLATE "C" NOT NULL,
  action     VARCHAR(32) COLLATE "C" NOT NULL,
  target     VARCHAR(255) COLLATE "C" NOT NULL,
  request    VARCHAR(255) COLLATE "C" NOT NULL DEFAULT '',
  detail     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS "{prefix}notify_action_target" ON {notify_action} (target, id);
