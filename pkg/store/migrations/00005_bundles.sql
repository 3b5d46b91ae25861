-- +goose Up
-- A name and a version are one bundle, whatever its group: frameworks do not look at groups.
CREATE TABLE bundles (
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    record  TEXT NOT NULL, -- JSON
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
