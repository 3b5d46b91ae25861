package catalog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/catalog/modulemd"
)

// disagreement says in what a row's modulemd and the row itself disagree: the text is
// kept as it came and nobody is refused, but somebody may have mixed two builds up.
func disagreement(r *Row) string {
	doc, err := modulemd.Parse(r.ModuleMD)
	switch {
	case errors.Is(err, modulemd.ErrTooLarge):
		return "modulemd was not compared with the row: " + strings.TrimSuffix(err.Error(), ": "+errdefs.ErrInvalidArgument.Error())
	case err != nil:
		return ""
	}
	var said []string
	for _, f := range []struct{ name, doc, row string }{
		{"name", doc.Name, r.Name}, {"stream", doc.Stream, r.Stream}, {"version", doc.ModuleVersion, r.Version}, {"context", doc.Context, r.Context},
	} {
		if f.doc != "" && f.doc != f.row {
			said = append(said, fmt.Sprintf("%s is %s in modulemd and %s in the row", f.name, short(f.doc), short(f.row)))
		}
	}
	return strings.Join(said, "; ")
}

// short quotes a text in ASCII, as far as a warning has room for it.
func short(s string) string {
	const most = 64
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "..."
	}
	return strings.ReplaceAll(fmt.Sprintf("%+q", s), `"`, "'")
}
