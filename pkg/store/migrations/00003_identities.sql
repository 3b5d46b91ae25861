-- +goose Up
-- An identity belongs to a module by its canonical name; clients know it by the name they registered, which may have a '$'.
ALTER TABLE identities RENAME TO identities_by_id;
CREATE TABLE identities (
    module        TEXT NOT NULL PRIMARY KEY,
    module_id     TEXT NOT NULL,
    managed_by    TEXT NOT NULL,
    generation_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO identities SELECT module_id, iif(module_id = 'edgeAgent', '$edgeAgent', module_id), managed_by, generation_id FROM identities_by_id;
DROP TABLE identities_by_id;
