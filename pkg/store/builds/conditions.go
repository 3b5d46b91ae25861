package builds

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/edged/edged/pkg/catalog"
)

// clause is a piece of SQL with its arguments.
type clause struct {
	sql  string
	args []any
}

// condition is a filter in SQL, of the table builds as b, in three forms: set, a query for
// the ids of what fits; probing, which looks at a row that was found otherwise; and, only
// where an index has what fits in the order of uids, driving, which reads that.
type condition struct {
	driving, probing, set clause

	none bool // nothing fits
}

func (c *condition) sorted() bool { return c.driving.sql != "" }

// columns are what filters of one column compare.
var columns = map[catalog.FilterKind]string{
	catalog.ByUID: "uid", catalog.ByName: "name", catalog.ByStream: "stream", catalog.ByVersion: "version", catalog.ByContext: "context", catalog.ByKojiTag: "koji_tag",
}

// lists are the filters of what builds need and contain: the kind of need or -1, and
// what is compared.
var lists = map[catalog.FilterKind]struct {
	kind   int
	column string
}{
	catalog.ByRuntimeDepName:   {kindRun, "d.dependency"},
	catalog.ByRuntimeDepStream: {kindRun, "d.stream"},
	catalog.ByBuildDepName:     {kindBuild, "d.dependency"},
	catalog.ByBuildDepStream:   {kindBuild, "d.stream"},
	catalog.ByComponentName:    {-1, "r.srpm_name"},
	catalog.ByComponentBranch:  {-1, "r.srpm_commit_branch"},
	catalog.ByRPMFilename:      {-1, "r.filename"},
}

func compile(f catalog.Filter) condition {
	switch {
	case f.Kind == catalog.ByActive:
		args := []any{index(f.Active)}
		return condition{
			driving: clause{"b.active = ?", args}, probing: clause{"+b.active = ?", args},
			set: clause{"SELECT id FROM builds WHERE active = ?", args},
		}
	case len(f.Values) == 0:
		return condition{none: true}
	case f.Kind == catalog.ByUID:
		return compileUID(f.Values[0])
	case columns[f.Kind] != "":
		return compileColumn(f, columns[f.Kind])
	case f.Kind == catalog.ByComponent:
		return compileComponent(f.Values)
	}
	l := lists[f.Kind]
	fits := clause{fmt.Sprintf("%s IN (%s)", l.column, marks(len(f.Values))), anys(f.Values)}
	if l.kind < 0 {
		return contains(fits)
	}
	return among(
		clause{fmt.Sprintf("SELECT n.build FROM deps d CROSS JOIN needs n ON n.dep = d.id AND n.kind = %d WHERE %s", l.kind, fits.sql), fits.args},
		clause{fmt.Sprintf("EXISTS (SELECT 1 FROM needs n CROSS JOIN deps d ON d.id = n.dep WHERE n.build = b.id AND n.kind = %d AND %s)", l.kind, fits.sql), fits.args})
}

// among is a condition whose rows are found by their ids.
func among(set, probing clause) condition {
	return condition{probing: probing, set: set}
}

func contains(fits clause) condition {
	return among(
		clause{"SELECT c.build FROM rpms r CROSS JOIN contents c ON c.rpm = r.id WHERE " + fits.sql, fits.args},
		clause{"EXISTS (SELECT 1 FROM contents c CROSS JOIN rpms r ON r.id = c.rpm WHERE c.build = b.id AND " + fits.sql + ")", fits.args})
}

// compileColumn compares without regard to case: see folds in the schema.
func compileColumn(f catalog.Filter, column string) condition {
	value := f.Values[0]
	if !isASCII(value) {
		return folded(f.Kind, value)
	}
	args, fits := []any{value}, column+" = ? COLLATE NOCASE"
	c := condition{probing: clause{"+b." + fits, args}, set: clause{"SELECT id FROM builds WHERE " + fits, args}}
	if f.Kind == catalog.ByName || f.Kind == catalog.ByStream {
		c.driving = clause{"b." + fits, args}
	}
	return c
}

func folded(kind catalog.FilterKind, value string) condition {
	args := []any{fold(value)}
	return among(
		clause{fmt.Sprintf("SELECT build FROM folds WHERE field = %d AND fold = ?", kind), args},
		clause{fmt.Sprintf("EXISTS (SELECT 1 FROM folds f WHERE f.field = %d AND f.fold = ? AND f.build = b.id)", kind), args})
}

// maxUID is the most characters of a uid.
const maxUID = 603

// compileUID needs no index of its own: a row's name is what is before one of the
// colons of its uid.
func compileUID(value string) condition {
	if !isASCII(value) {
		return folded(catalog.ByUID, value)
	}
	var names []string
	for i := range len(value) {
		if value[i] == ':' {
			names = append(names, value[:i])
		}
	}
	if len(names) < 3 || utf8.RuneCountInString(value) > maxUID {
		return condition{none: true}
	}
	names = names[:len(names)-2] // two more are behind the name
	args := append(anys(names), value)
	fits := fmt.Sprintf("name COLLATE NOCASE IN (%s) AND ", marks(len(names)))
	return condition{
		probing: clause{"+b.uid = ? COLLATE NOCASE", []any{value}},
		set:     clause{"SELECT id FROM builds WHERE " + fits + "uid = ? COLLATE NOCASE", args},
	}
}

// compileComponent wants the name and, where one is given, the branch of one RPM. There may be
// thousands of values, and SQLite takes no chain of as many ORs.
func compileComponent(values []string) condition {
	var names, pairs []any
	for _, v := range values {
		name, branch, hasBranch := catalog.Component(v)
		if hasBranch {
			pairs = append(pairs, name, branch)
		} else {
			names = append(names, name)
		}
	}
	var fits []string
	if len(names) > 0 {
		fits = append(fits, fmt.Sprintf("r.name IN (%s)", marks(len(names))))
	}
	if len(pairs) > 0 {
		fits = append(fits, fmt.Sprintf("(r.name, r.srpm_commit_branch) IN (VALUES %s)", strings.TrimSuffix(strings.Repeat("(?, ?), ", len(pairs)/2), ", ")))
	}
	return contains(clause{"(" + strings.Join(fits, " OR ") + ")", append(names, pairs...)})
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func anys(values []string) []any {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return args
}
