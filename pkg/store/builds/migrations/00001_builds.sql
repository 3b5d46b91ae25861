-- +goose Up
CREATE TABLE builds (
    id           INTEGER PRIMARY KEY,
    uid          TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    stream       TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    context      TEXT    NOT NULL,
    koji_tag     TEXT    NOT NULL,
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    source       TEXT,              -- NULL: through the API; else what edged's own index made it of
    warning      TEXT    NOT NULL,  -- in what modulemd and the row disagree
    runtime_deps TEXT    NOT NULL,  -- these three are JSON as in answers, so that a page is read from this table alone;
    build_deps   TEXT    NOT NULL,  -- the tables below are for finding
    rpms         TEXT    NOT NULL,
    modulemd     TEXT    NOT NULL   -- last: what is long lies on pages of its own, which are read when they are asked for
) STRICT;
CREATE UNIQUE INDEX builds_uid ON builds (uid);
-- Of whatever is found by one of these, the first page is there without sorting. Comparing without regard to case is for ASCII; table folds has the rest.
CREATE INDEX builds_by_name ON builds (name COLLATE NOCASE, uid);
CREATE INDEX builds_by_stream ON builds (stream COLLATE NOCASE, uid);
CREATE INDEX builds_by_version ON builds (version COLLATE NOCASE);
CREATE INDEX builds_by_context ON builds (context COLLATE NOCASE);
CREATE INDEX builds_by_koji_tag ON builds (koji_tag COLLATE NOCASE);
CREATE INDEX builds_active ON builds (active, uid);
-- To sort what was found by id, and see what is active, without reading the rows, which are spread over the whole file.
CREATE INDEX builds_sorted ON builds (id, uid, active);
CREATE UNIQUE INDEX builds_source ON builds (source) WHERE source IS NOT NULL;

-- Columns that are not ASCII, in a form that is the same for upper and lower case.
CREATE TABLE folds (
    field INTEGER NOT NULL,
    fold  TEXT    NOT NULL,
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (field, fold, build)
) STRICT, WITHOUT ROWID;
CREATE INDEX folds_build ON folds (build);

-- How many rows are active, and how many are not: counting them takes longer than the rest of an answer.
CREATE TABLE counts (
    active INTEGER NOT NULL PRIMARY KEY,
    n      INTEGER NOT NULL
) STRICT;
INSERT INTO counts VALUES (0, 0), (1, 0);

-- What builds need, each once.
CREATE TABLE deps (
    id         INTEGER PRIMARY KEY,
    dependency TEXT NOT NULL,
    stream     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX deps_dependency ON deps (dependency, stream);
CREATE INDEX deps_stream ON deps (stream);

CREATE TABLE needs (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    kind  INTEGER NOT NULL CHECK (kind IN (0, 1)), -- 0: to run, 1: to be built
    dep   INTEGER NOT NULL,
    PRIMARY KEY (build, kind, dep)
) STRICT, WITHOUT ROWID;
CREATE INDEX needs_dep ON needs (dep, kind, build);

-- What builds contain, each once. Those of the API are known by the first five columns and stay for good; those that edged's own index read from
-- images, of which nobody knows who wrote them, are the same only when all of them is the same, and go with their builds.
CREATE TABLE rpms (
    id                 INTEGER PRIMARY KEY,
    name               TEXT    NOT NULL,
    epoch              INTEGER NOT NULL,
    version            TEXT    NOT NULL,
    release            TEXT    NOT NULL,
    arch               TEXT    NOT NULL,
    seen               TEXT    NOT NULL, -- empty: of the API; else a digest of what follows
    srpm_name          TEXT    NOT NULL,
    srpm_nevra         TEXT,
    filename           TEXT    NOT NULL,
    srpm_commit_hash   TEXT,
    srpm_commit_branch TEXT
) STRICT;
CREATE UNIQUE INDEX rpms_nevra ON rpms (name, epoch, version, release, arch, seen);
CREATE INDEX rpms_srpm_name ON rpms (srpm_name);
CREATE INDEX rpms_filename ON rpms (filename);
CREATE INDEX rpms_branch ON rpms (srpm_commit_branch) WHERE srpm_commit_branch IS NOT NULL;

CREATE TABLE contents (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    rpm   INTEGER NOT NULL,
    PRIMARY KEY (build, rpm)
) STRICT, WITHOUT ROWID;
CREATE INDEX contents_rpm ON contents (rpm, build);
