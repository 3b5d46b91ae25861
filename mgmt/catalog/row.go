package catalog

import (
	"bytes"
	"encoding/json"

	domain "github.com/edged/edged/pkg/catalog"
)

// encoder writes rows as answers have them: without spaces, UTF-8 as it is.
type encoder struct {
	bytes.Buffer
	text *json.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.text = json.NewEncoder(&e.Buffer)
	e.text.SetEscapeHTML(false)
	return e
}

// value writes any value; of ours none can fail.
func (e *encoder) value(v any) {
	if e.text.Encode(v) == nil {
		e.Truncate(e.Len() - 1) // the newline
	}
}

func (e *encoder) row(r *domain.Row, fields domain.Fields) {
	separator := byte('{')
	member := func(field domain.Fields, name string, write func()) {
		if !fields.Has(field) {
			return
		}
		e.WriteByte(separator)
		separator = ','
		e.WriteByte('"')
		e.WriteString(name)
		e.WriteString(`":`)
		write()
	}
	text := func(field domain.Fields, name, value string) { member(field, name, func() { e.value(value) }) }
	list := func(field domain.Fields, name string, value json.RawMessage) {
		member(field, name, func() { e.Write(value) })
	}
	text(domain.FieldUID, "uid", r.UID)
	text(domain.FieldName, "name", r.Name)
	text(domain.FieldStream, "stream", r.Stream)
	text(domain.FieldVersion, "version", r.Version)
	text(domain.FieldContext, "context", r.Context)
	member(domain.FieldActive, "active", func() { e.value(r.Active) })
	text(domain.FieldKojiTag, "koji_tag", r.KojiTag)
	text(domain.FieldModuleMD, "modulemd", r.ModuleMD)
	list(domain.FieldRuntimeDeps, "runtime_deps", r.RuntimeDeps)
	list(domain.FieldBuildDeps, "build_deps", r.BuildDeps)
	list(domain.FieldRPMs, "rpms", r.RPMs)
	if separator == '{' {
		e.WriteByte('{')
	}
	e.WriteByte('}')
}
