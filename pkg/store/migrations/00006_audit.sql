-- +goose Up
-- Who did what, and who was refused. The oldest rows of each kind go first, by n, which counts them.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   TEXT NOT NULL,    -- change, refusal
    n      INTEGER NOT NULL,
    time   INTEGER NOT NULL, -- of the first event of the row, in microseconds since 1970
    last   INTEGER NOT NULL, -- of the last one
    count  INTEGER NOT NULL,
    alike  TEXT,             -- the same for refusals that may be one row
    caller TEXT NOT NULL,    -- a module's name, or the uid of a user of the host; empty for whoever is unknown
    module TEXT NOT NULL,    -- that was acted upon
    record TEXT NOT NULL     -- JSON
) STRICT;
CREATE UNIQUE INDEX audit_order ON audit (kind, n);
CREATE INDEX audit_alike ON audit (alike) WHERE alike IS NOT NULL;
