package builds

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/edged/edged/pkg/catalog"
)

// The kinds of table needs.
const (
	kindRun   = 0
	kindBuild = 1
)

// parts are what a row had and has no more, by id: it may be nobody's now.
type parts struct{ deps, rpms []int64 }

// link is a line of table needs or contents that is still to be written. A transaction
// of many rows writes them at its end and in the order of the index that finds builds by
// them: each page of it is then read and written once, which is half of the work.
type link struct {
	kind  int8 // as in table needs, or inside
	id    int64
	build int64
}

const inside int8 = 2

// maxLinks bounds what waits.
const maxLinks = 100_000

// need is a dependency that has no id yet.
type need struct {
	catalog.Dep
	kind  int8
	build int64
}

func (t *tx) addParts(build int64, p catalog.Parts) error {
	for kind, deps := range []*[]catalog.Dep{kindRun: p.RuntimeDeps, kindBuild: p.BuildDeps} {
		if deps == nil {
			continue
		}
		seen := make(map[catalog.Dep]bool, len(*deps))
		for _, d := range *deps {
			if !seen[d] { // one that comes twice is found once
				seen[d] = true
				t.needs = append(t.needs, need{d, int8(kind), build}) //nolint:gosec // 0 or 1
			}
		}
	}
	if p.RPMs != nil {
		for _, id := range *p.RPMs {
			t.links = append(t.links, link{inside, id, build})
		}
	}
	if len(t.links)+len(t.needs) > maxLinks {
		return t.flush()
	}
	return nil
}

// flush writes the links; whoever reads them in the transaction calls it before.
func (t *tx) flush() error {
	if err := t.findDeps(); err != nil {
		return err
	}
	slices.SortFunc(t.links, func(a, b link) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id), cmp.Compare(a.build, b.build))
	})
	needs, contents := t.links, t.links
	i, _ := slices.BinarySearchFunc(t.links, inside, func(l link, kind int8) int { return cmp.Compare(l.kind, kind) })
	needs, contents = needs[:i], contents[i:]
	if err := inserts(t, addNeed, addNeeds, needs, func(args []any, l link) []any { return append(args, l.build, l.kind, l.id) }); err != nil {
		return err
	}
	if err := inserts(t, addContent, addContents, contents, func(args []any, l link) []any { return append(args, l.build, l.id) }); err != nil {
		return err
	}
	t.links = t.links[:0]
	return nil
}

// together is how many rows a statement of many writes.
const together = 16

// inserts writes links, many with one statement as long as there are that many.
func inserts(t *tx, one, many statement, links []link, add func([]any, link) []any) error {
	args := make([]any, 0, 3*together)
	for len(links) > 0 {
		k, n := one, 1
		if len(links) >= together {
			k, n = many, together
		}
		args = args[:0]
		for _, l := range links[:n] {
			args = add(args, l)
		}
		if err := t.exec(k, args...); err != nil {
			return fmt.Errorf("cannot write lists: %w", err)
		}
		links = links[n:]
	}
	return nil
}

// dropParts forgets the lists that are new in p.
func (t *tx) dropParts(build int64, p catalog.Parts) (gone parts, err error) {
	if err := t.flush(); err != nil {
		return gone, err
	}
	drop := func(read, drop statement, args ...any) []int64 {
		var ids []int64
		if err == nil {
			ids, err = t.ids(read, args...)
		}
		if err == nil && len(ids) > 0 {
			err = t.exec(drop, args...)
		}
		return ids
	}
	for kind, deps := range []*[]catalog.Dep{kindRun: p.RuntimeDeps, kindBuild: p.BuildDeps} {
		if deps != nil {
			gone.deps = append(gone.deps, drop(readNeeds, dropNeeds, build, kind)...)
		}
	}
	if p.RPMs != nil {
		gone.rpms = drop(readContents, dropContents, build)
	}
	if err != nil {
		return gone, fmt.Errorf("cannot write lists: %w", err)
	}
	return gone, nil
}

// sweep removes what no row has any more: dependencies, and RPMs that only the index knew.
func (t *tx) sweep(gone parts) error {
	if err := t.flush(); err != nil { // what was dropped may have been taken up again
		return err
	}
	for _, s := range []struct {
		k   statement
		ids []int64
	}{{sweepDep, gone.deps}, {sweepRPM, gone.rpms}} {
		for _, id := range s.ids {
			if err := t.exec(s.k, id); err != nil {
				return fmt.Errorf("cannot remove what is in no build any more: %w", err)
			}
		}
	}
	return nil
}

func (t *tx) ids(k statement, args ...any) ([]int64, error) {
	return scanIDs(t.s.stmts[k].QueryContext(always, args...))
}

// findDeps makes links of the needs: it looks all of them up together, and writes those
// that are new.
func (t *tx) findDeps() error {
	ids := map[catalog.Dep]int64{}
	var list [][2]string
	for _, n := range t.needs {
		if _, listed := ids[n.Dep]; !listed {
			ids[n.Dep] = 0
			list = append(list, [2]string{n.Dependency, n.Stream})
		}
	}
	if len(list) == 0 {
		return nil
	}
	err := t.lookUp(findDeps, list, func(rows *sql.Rows) error {
		var d catalog.Dep
		var id int64
		err := rows.Scan(&id, &d.Dependency, &d.Stream)
		ids[d] = id
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range t.needs {
		if ids[n.Dep] == 0 {
			if ids[n.Dep], err = t.insert(addDep, n.Dependency, n.Stream); err != nil {
				return fmt.Errorf("cannot write dependency: %w", err)
			}
		}
		t.links = append(t.links, link{n.kind, ids[n.Dep], n.build})
	}
	t.needs = t.needs[:0]
	return nil
}

// lookUp asks for many at once: list goes to SQLite as JSON.
func (t *tx) lookUp(k statement, list any, each func(*sql.Rows) error) error {
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("cannot look up: %w", err)
	}
	rows, err := t.s.stmts[k].QueryContext(always, string(text))
	if err != nil {
		return fmt.Errorf("cannot look up: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("cannot look up: %w", err)
		}
	}
	return rows.Err()
}

// Expect looks many up at once: see RPM.
func (t *tx) Expect(nevras []catalog.NEVRA) error {
	var unknown [][5]any
	for _, n := range nevras {
		if t.rpms[n] == 0 {
			unknown = append(unknown, [5]any{n.Name, n.Epoch, n.Version, n.Release, n.Arch})
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return t.lookUp(findRPMs, unknown, func(rows *sql.Rows) error {
		var id int64
		var n catalog.NEVRA
		err := rows.Scan(&id, &n.Name, &n.Epoch, &n.Version, &n.Release, &n.Arch)
		t.remember(n, id)
		return err
	})
}

// RPM looks an RPM of the API up.
func (t *tx) RPM(n catalog.NEVRA) (id int64, known bool, err error) {
	if id := t.rpms[n]; id != 0 {
		return id, true, nil
	}
	if id, err = t.id(findRPM, n.Name, n.Epoch, n.Version, n.Release, n.Arch, ""); err != nil {
		return 0, false, fmt.Errorf("cannot read RPM: %w", err)
	}
	if id != 0 {
		t.remember(n, id)
	}
	return id, id != 0, nil
}

func (t *tx) remember(n catalog.NEVRA, id int64) {
	if len(t.rpms) >= maxRemembered {
		clear(t.rpms)
	}
	t.rpms[n] = id
}

// AddRPM writes a new RPM of the API.
func (t *tx) AddRPM(r *catalog.RPM) (int64, error) {
	id, err := t.addRPM(r, "")
	if err == nil {
		t.remember(r.NEVRA, id)
	}
	return id, err
}

// SeenRPM writes an RPM that was found in an image, if it is not known yet.
func (t *tx) SeenRPM(r *catalog.RPM) (int64, error) {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.SRPMName, r.SRPMNEVRA, r.Filename, r.CommitHash, r.CommitBranch}, "\x00")))
	seen := hex.EncodeToString(sum[:8])
	id, err := t.id(findRPM, r.Name, r.Epoch, r.Version, r.Release, r.Arch, seen)
	if err != nil || id != 0 {
		return id, err
	}
	return t.addRPM(r, seen)
}

func (t *tx) addRPM(r *catalog.RPM, seen string) (int64, error) {
	id, err := t.insert(addRPM, r.Name, r.Epoch, r.Version, r.Release, r.Arch, seen, r.SRPMName, null(r.SRPMNEVRA), r.Filename, null(r.CommitHash), null(r.CommitBranch))
	if err != nil {
		return 0, fmt.Errorf("cannot write RPM: %w", err)
	}
	return id, nil
}

// addFolds remembers the columns that SQLite cannot compare without regard to case.
func (t *tx) addFolds(r *catalog.Row) error {
	for kind, value := range []string{
		catalog.ByUID: r.UID, catalog.ByName: r.Name, catalog.ByStream: r.Stream, catalog.ByVersion: r.Version, catalog.ByContext: r.Context, catalog.ByKojiTag: r.KojiTag,
	} {
		if isASCII(value) {
			continue
		}
		if err := t.exec(addFold, kind, fold(value), r.ID); err != nil {
			return fmt.Errorf("cannot write build: %w", err)
		}
	}
	return nil
}
