package builds

import (
	"fmt"
	"strings"

	"github.com/edged/edged/pkg/catalog"
)

// orders are the keys by which rows are ordered. In those with several values to a row
// %s is the aggregate that picks one.
var orders = func() map[string]string {
	all := map[string]string{"id": "b.id", "variant_id": "b.name", "type": "''"}
	for _, column := range []string{"uid", "name", "stream", "version", "context", "active", "koji_tag", "modulemd"} {
		all[column] = "b." + column
	}
	for list, kind := range map[string]int{"runtime_deps": kindRun, "build_deps": kindBuild} {
		from := fmt.Sprintf("FROM needs n CROSS JOIN deps d ON d.id = n.dep WHERE n.build = b.id AND n.kind = %d", kind)
		all[list] = "(SELECT %s(d.dependency || char(0) || d.stream) " + from + ")"
		for _, column := range []string{"dependency", "stream"} {
			all[list+"__"+column] = "(SELECT %s(d." + column + ") " + from + ")"
		}
	}
	const from = "FROM contents c CROSS JOIN rpms r ON r.id = c.rpm WHERE c.build = b.id"
	all["rpms"] = "(SELECT %s(r.name || char(0) || printf('%%010d', r.epoch) || char(0) || r.version || char(0) || r.release || char(0) || r.arch) " + from + ")"
	for _, column := range []string{"id", "name", "epoch", "version", "release", "arch", "srpm_name", "srpm_nevra", "filename", "srpm_commit_hash", "srpm_commit_branch"} {
		all["rpms__"+column] = "(SELECT %s(r." + column + ") " + from + ")"
	}
	return all
}()

// orderBy is the order of a query; rows that are alike in it are in the order of their uids.
func orderBy(order []catalog.Order) string {
	var terms []string
	seen := map[catalog.Order]bool{}
	for _, o := range order {
		if seen[o] {
			continue // it says nothing more, and SQLite takes no list without end
		}
		seen[o] = true
		expression, aggregate, direction := orders[o.Key], "min", ""
		if o.Desc {
			aggregate, direction = "max", " DESC"
		}
		if strings.HasPrefix(expression, "(") {
			expression = fmt.Sprintf(expression, aggregate)
		}
		terms = append(terms, expression+direction)
	}
	return strings.Join(append(terms, "b.uid"), ", ")
}
