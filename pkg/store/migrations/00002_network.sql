-- +goose Up
-- What has to be the same of a module's network after a reboot: its addresses and
-- host ports, and what was last wished.
CREATE TABLE networks (
    module TEXT NOT NULL PRIMARY KEY REFERENCES modules (name) ON DELETE CASCADE,
    record TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;
