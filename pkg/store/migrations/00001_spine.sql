-- +goose Up
CREATE TABLE modules (
    name        TEXT    NOT NULL PRIMARY KEY,
    phase       TEXT    NOT NULL CHECK (phase IN ('creating', 'ready', 'updating', 'deleting')),
    wanted      INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    current     INTEGER NOT NULL,
    next        INTEGER,
    started_at  INTEGER NOT NULL DEFAULT 0, -- unix nanoseconds, 0: never
    exit        TEXT,                       -- JSON, NULL: never ended
    restarts    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE generations (
    module       TEXT    NOT NULL REFERENCES modules (name) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    spec         TEXT    NOT NULL,          -- JSON, without credentials
    auth         BLOB,                      -- registry credentials, sealed
    image_digest TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,          -- unix nanoseconds
    PRIMARY KEY (module, number)
) STRICT, WITHOUT ROWID;

-- What the kernel said of a container's first process before its first instruction.
CREATE TABLE instances (
    container_id TEXT    NOT NULL PRIMARY KEY,
    facts        TEXT    NOT NULL           -- JSON
) STRICT, WITHOUT ROWID;

-- A module's deletion does not delete its identity, so there is no reference.
CREATE TABLE identities (
    module_id     TEXT NOT NULL PRIMARY KEY,
    managed_by    TEXT NOT NULL,
    generation_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE image_uses (
    ref     TEXT    NOT NULL PRIMARY KEY,
    digest  TEXT    NOT NULL,
    used_at INTEGER NOT NULL                -- unix seconds
) STRICT, WITHOUT ROWID;

-- Small facts that are not worth a table: what was last applied or imported.
CREATE TABLE notes (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
