package builds

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// statement is one that a transaction runs for each row, prepared once.
type statement int

const (
	begin statement = iota
	commit
	rollback
	shrink
	readSize
	addBuild
	readBuild
	saveBuild
	deleteBuild
	addCount
	addFold
	dropFolds
	findDeps
	addDep
	sweepDep
	addNeed
	addNeeds
	readNeeds
	dropNeeds
	findRPM
	findRPMs
	addRPM
	sweepRPM
	addContent
	addContents
	readContents
	dropContents
	statementCount
)

var texts = [statementCount]string{
	begin: `BEGIN IMMEDIATE`, commit: `COMMIT`, rollback: `ROLLBACK`, shrink: `PRAGMA shrink_memory`,
	readSize: `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`,
	addBuild: `INSERT INTO builds (id, uid, name, stream, version, context, koji_tag, active, source, warning, runtime_deps, build_deps, rpms, modulemd)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	readBuild: `SELECT uid, active FROM builds WHERE id = ?`,
	saveBuild: `UPDATE builds SET uid = ?, name = ?, stream = ?, version = ?, context = ?, koji_tag = ?, active = ?, warning = ?,
		runtime_deps = ?, build_deps = ?, rpms = ?, modulemd = ? WHERE id = ?`,
	deleteBuild: `DELETE FROM builds WHERE id = ?`,
	addCount:    `UPDATE counts SET n = n + ? WHERE active = ?`,
	addFold:     `INSERT INTO folds (field, fold, build) VALUES (?, ?, ?)`,
	dropFolds:   `DELETE FROM folds WHERE build = ?`,
	findDeps:    `SELECT d.id, d.dependency, d.stream FROM json_each(?) j CROSS JOIN deps d ON d.dependency = j.value ->> 0 AND d.stream = j.value ->> 1`,
	addDep:      `INSERT INTO deps (dependency, stream) VALUES (?, ?)`,
	sweepDep:    `DELETE FROM deps WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM needs WHERE dep = ?1)`,
	addNeed:     `INSERT INTO needs (build, kind, dep) VALUES (?, ?, ?)`,
	addNeeds:    `INSERT INTO needs (build, kind, dep) VALUES (?, ?, ?)` + strings.Repeat(`, (?, ?, ?)`, together-1),
	readNeeds:   `SELECT dep FROM needs WHERE build = ? AND kind = ?`,
	dropNeeds:   `DELETE FROM needs WHERE build = ? AND kind = ?`,
	findRPM:     `SELECT id FROM rpms WHERE name = ? AND epoch = ? AND version = ? AND release = ? AND arch = ? AND seen = ?`,
	findRPMs: `SELECT r.id, r.name, r.epoch, r.version, r.release, r.arch FROM json_each(?) j CROSS JOIN rpms r
		ON r.name = j.value ->> 0 AND r.epoch = j.value ->> 1 AND r.version = j.value ->> 2 AND r.release = j.value ->> 3 AND r.arch = j.value ->> 4 AND r.seen = ''`,
	addRPM: `INSERT INTO rpms (name, epoch, version, release, arch, seen, srpm_name, srpm_nevra, filename, srpm_commit_hash, srpm_commit_branch)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
	sweepRPM:     `DELETE FROM rpms WHERE id = ?1 AND seen <> '' AND NOT EXISTS (SELECT 1 FROM contents WHERE rpm = ?1)`,
	addContent:   `INSERT INTO contents (build, rpm) VALUES (?, ?)`,
	addContents:  `INSERT INTO contents (build, rpm) VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, together-1),
	readContents: `SELECT rpm FROM contents WHERE build = ?`,
	dropContents: `DELETE FROM contents WHERE build = ?`,
}

// statements are prepared on the one connection that writes.
type statements [statementCount]*sql.Stmt

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	for i, text := range texts {
		if s[i], err = conn.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // close does
			return fmt.Errorf("cannot prepare %q: %w", text, err)
		}
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}
