package osgi

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxManifest is the most bytes that a manifest may have. Signed ones name every file.
	MaxManifest = 4 << 20
	// maxAttributes bounds the attributes of all sections (the JAR File Specification asks for at least 65535).
	maxAttributes = 100_000
	// maxOfSection bounds those of one section: a real one has fewer than a hundred.
	maxOfSection = 1000
	// maxAttributeName is the longest name that fits on a line, as names are not folded.
	maxAttributeName = 70
	// foldAt is the longest line in bytes, without its end.
	foldAt = 72
)

// Attribute is a line of a manifest: a header.
type Attribute struct{ Name, Value string }

// Section is a part of a manifest.
type Section struct {
	// Name is of the file that the section is about; empty for the main section.
	Name       string
	Attributes []Attribute
}

// Manifest is META-INF/MANIFEST.MF (the JAR File Specification), in its order.
type Manifest struct {
	Main     Section
	Sections []Section
}

// Get is an attribute's value without spaces around it; empty if there is none. Case does not matter.
func (s *Section) Get(name string) string {
	value, _ := s.Lookup(name)
	return value
}

// Lookup is Get, and false if there is no such attribute.
func (s *Section) Lookup(name string) (string, bool) {
	for _, a := range s.Attributes {
		if strings.EqualFold(a.Name, name) {
			return strings.TrimSpace(a.Value), true
		}
	}
	return "", false
}

// Set replaces an attribute, or adds one at the end.
func (s *Section) Set(name, value string) {
	i := slices.IndexFunc(s.Attributes, func(a Attribute) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		s.Attributes = append(s.Attributes, Attribute{name, value})
		return
	}
	s.Attributes[i].Value = value
}

// Section is the section about a file; nil if there is none. It takes as long as there are sections.
func (m *Manifest) Section(name string) *Section {
	i := slices.IndexFunc(m.Sections, func(s Section) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Sections[i]
}

// ReadManifest reads a manifest of at most so many bytes. Sections about the same file become one,
// and of their attributes the last counts. An attribute that is twice in one section, with different values,
// is refused: readers differ in which one they believe. Errors: *pack.Error (Invalid), else the reader's.
func ReadManifest(r io.Reader, limit int64) (*Manifest, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, invalid("its manifest has more than %d bytes", limit)
	}
	p := &manifestParser{m: &Manifest{}, byName: map[string]int{}, seen: map[string]string{}}
	for len(text) > 0 {
		var line []byte
		line, text = unfold(text)
		if err := p.line(line); err != nil {
			return nil, err
		}
	}
	return p.m, p.flush()
}

// unfold takes a line and those that go on with it: they begin with a space. They are joined as
// bytes, as a character may have been folded in the middle.
func unfold(text []byte) (line, rest []byte) {
	line, rest = cutLine(text)
	if len(line) == 0 || len(rest) == 0 || rest[0] != ' ' {
		return line, rest
	}
	line = slices.Clone(line)
	for len(rest) > 0 && rest[0] == ' ' {
		var more []byte
		more, rest = cutLine(rest[1:])
		line = append(line, more...)
	}
	return line, rest
}

// cutLine takes a line without its end, which is CRLF, LF or CR.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexAny(text, "\r\n")
	switch {
	case i < 0:
		return text, nil
	case bytes.HasPrefix(text[i:], []byte("\r\n")):
		return text[:i], text[i+2:]
	}
	return text[:i], text[i+1:]
}

type manifestParser struct {
	m *Manifest
	// section is the one that lines belong to, once it has one.
	section *Section
	mainEnd bool
	byName  map[string]int
	seen    map[string]string // of this section, by the name in small letters
	count   int
}

// line takes a whole line; an empty one ends a section.
func (p *manifestParser) line(line []byte) error {
	if len(line) == 0 {
		return p.flush()
	}
	a, err := parseAttribute(line)
	if err != nil {
		return err
	}
	if p.count++; p.count > maxAttributes {
		return invalid("its manifest has more than %d headers", maxAttributes)
	}
	if p.section == nil {
		if !p.mainEnd {
			p.section = &Section{}
		} else {
			if !strings.EqualFold(a.Name, "Name") || a.Value == "" {
				return invalid("its manifest has a section that does not begin with a Name, but with %s", a.Name)
			}
			p.section, p.seen["name"] = &Section{Name: a.Value}, a.Value
			return nil
		}
	}
	key := strings.ToLower(a.Name)
	if before, twice := p.seen[key]; twice {
		if before != a.Value {
			return invalid("its manifest has the header %s twice in one section", a.Name)
		}
		return nil
	}
	p.seen[key] = a.Value
	p.section.Attributes = append(p.section.Attributes, a)
	return checkSection(p.section)
}

// flush ends a section.
func (p *manifestParser) flush() error {
	s := p.section
	if s == nil {
		p.mainEnd = true // a first line that is empty is an empty main section
		return nil
	}
	p.section = nil
	clear(p.seen)
	if !p.mainEnd {
		p.mainEnd, p.m.Main = true, *s
		return nil
	}
	i, twice := p.byName[s.Name]
	if !twice {
		p.byName[s.Name] = len(p.m.Sections)
		p.m.Sections = append(p.m.Sections, *s)
		return nil
	}
	one := &p.m.Sections[i]
	for _, a := range s.Attributes {
		one.Set(a.Name, a.Value)
	}
	return checkSection(one)
}

func checkSection(s *Section) error {
	if len(s.Attributes) > maxOfSection {
		return invalid("its manifest has a section of more than %d headers", maxOfSection)
	}
	return nil
}

func parseAttribute(line []byte) (Attribute, error) {
	if line[0] == ' ' {
		return Attribute{}, invalid("its manifest goes on with a header where there is none")
	}
	name, value, ok := strings.Cut(string(line), ": ")
	switch {
	case !ok || name == "" || len(name) > maxAttributeName || strings.ContainsFunc(name, notToken):
		return Attribute{}, invalid("its manifest has a line that is no header: %s", quote(string(line)))
	case !utf8.ValidString(value) || strings.Contains(value, "\x00"):
		return Attribute{}, invalid("its manifest has a header %s that is not UTF-8 text", name)
	}
	return Attribute{name, value}, nil
}

// Write writes the manifest: Manifest-Version first, lines of at most 72 bytes that end with CRLF, folded
// between characters. What it writes is read as the same again, by name and value.
func (m *Manifest) Write(w io.Writer) error {
	var b bytes.Buffer
	version, ok := m.Main.Lookup(manifestVersion)
	if !ok {
		version = "1.0"
	}
	if err := writeAttribute(&b, Attribute{manifestVersion, version}); err != nil {
		return err
	}
	for _, a := range m.Main.Attributes {
		if strings.EqualFold(a.Name, manifestVersion) {
			continue
		}
		if err := writeAttribute(&b, a); err != nil {
			return err
		}
	}
	b.WriteString("\r\n")
	for _, s := range m.Sections {
		for _, a := range append([]Attribute{{"Name", s.Name}}, s.Attributes...) {
			if err := writeAttribute(&b, a); err != nil {
				return err
			}
		}
		b.WriteString("\r\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

const manifestVersion = "Manifest-Version"

func writeAttribute(b *bytes.Buffer, a Attribute) error {
	if a.Name == "" || len(a.Name) > maxAttributeName || strings.ContainsFunc(a.Name, notToken) {
		return invalid("%s is no name of a header", quote(a.Name))
	}
	if !utf8.ValidString(a.Value) || strings.ContainsAny(a.Value, "\r\n\x00") {
		return invalid("the header %s cannot be written: it has the end of a line in it, or is not UTF-8 text", a.Name)
	}
	room := foldAt - len(a.Name) - len(": ")
	b.WriteString(a.Name + ": ")
	for rest := a.Value; ; room = foldAt - 1 {
		n := min(room, len(rest))
		for n < len(rest) && n > 0 && !utf8.RuneStart(rest[n]) {
			n--
		}
		b.WriteString(rest[:n] + "\r\n")
		if rest = rest[n:]; rest == "" {
			return nil
		}
		b.WriteByte(' ')
	}
}
