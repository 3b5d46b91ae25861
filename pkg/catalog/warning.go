package catalog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/catalog/modulemd"
)

// parsed is what a modulemd says, or why that is not known.
type parsed struct {
	doc *modulemd.Document
	err error
}

func parse(text string) (p parsed) {
	p.doc, p.err = modulemd.Parse(text)
	return p
}

// disagreement says in what a modulemd and its row disagree: the text is kept as it came
// and nobody is refused, but somebody may have mixed two builds up.
func (p parsed) disagreement(r *Row) string {
	switch {
	case errors.Is(p.err, modulemd.ErrTooLarge):
		return "modulemd was not compared with the row: " + strings.TrimSuffix(p.err.Error(), ": "+errdefs.ErrInvalidArgument.Error())
	case p.err != nil:
		return ""
	}
	doc := p.doc
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
