-- +goose Up
CREATE TABLE packages (
    uid    TEXT NOT NULL PRIMARY KEY,
    phase  TEXT NOT NULL CHECK (phase IN ('storing', 'ready', 'deleting')),
    record TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

-- The highest number that was signed for a name; it outlives the packages.
CREATE TABLE package_counters (
    name    TEXT    NOT NULL PRIMARY KEY,
    counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE package_actions (
    uid    TEXT    NOT NULL PRIMARY KEY,
    begun  INTEGER NOT NULL, -- unix nanoseconds
    record TEXT    NOT NULL  -- JSON
) STRICT, WITHOUT ROWID;
