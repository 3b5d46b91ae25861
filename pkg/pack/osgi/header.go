package osgi

import (
	"strings"
)

// Limits of a header. Large bundles export a few thousand packages.
const (
	maxClauses    = 20_000
	maxParameters = 100_000 // of all clauses, paths among them
)

// Clause is one of the parts of a header that commas separate (OSGi Core 3.2.4): one path or
// more, then attributes and directives in any order.
type Clause struct {
	Paths []string
	// Attributes are in their order. Names may be there twice (Bundle-NativeCode has that), and
	// are compared as they are.
	Attributes []Parameter
	// Directives are in their order, each name once.
	Directives []Parameter
}

// Parameter is name=value, name:Type=value or name:=value.
type Parameter struct {
	Name string
	// Type is of an attribute: Version, List<String>. Empty is String.
	Type string
	// Value is without the quotes that it may have had.
	Value string
}

// Attribute is the first attribute of a name; false if there is none.
func (c Clause) Attribute(name string) (string, bool) { return find(c.Attributes, name) }

// Directive is the directive of a name; false if there is none.
func (c Clause) Directive(name string) (string, bool) { return find(c.Directives, name) }

func find(all []Parameter, name string) (string, bool) {
	for _, p := range all {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// ParseHeader reads the value of a header. An empty one is refused, as frameworks do. Errors:
// *pack.Error (Invalid).
func ParseHeader(text string) ([]Clause, error) {
	s := &scanner{text: text}
	var all []Clause
	for parameters := 0; ; {
		c, err := s.clause()
		if err != nil {
			return nil, err
		}
		parameters += len(c.Paths) + len(c.Attributes) + len(c.Directives)
		if all = append(all, c); len(all) > maxClauses || parameters > maxParameters {
			return nil, invalid("it has more than %d clauses or %d parts of them", maxClauses, maxParameters)
		}
		if s.end() {
			return all, nil
		}
		s.at++ // the comma
	}
}

// scanner walks along a header.
type scanner struct {
	text string
	at   int
}

func (s *scanner) end() bool { return s.at == len(s.text) }

// next is the byte here; 0 at the end, and no header has a NUL.
func (s *scanner) next() byte {
	if s.end() {
		return 0
	}
	return s.text[s.at]
}

// clause reads up to a comma or the end.
func (s *scanner) clause() (Clause, error) {
	var c Clause
	seen := map[string]bool{}
	for {
		word, quoted, err := s.word(";,:=")
		if err != nil {
			return c, err
		}
		switch s.next() {
		case ':', '=':
			p, directive, err := s.parameter(word, quoted)
			if err != nil {
				return c, err
			}
			if len(c.Paths) == 0 {
				return c, invalid("its clause begins with the parameter %s", quote(word))
			}
			if !directive {
				c.Attributes = append(c.Attributes, p)
				break
			}
			if seen[p.Name] {
				return c, invalid("it has the directive %s twice in one clause", quote(p.Name))
			}
			seen[p.Name] = true
			c.Directives = append(c.Directives, p)
		default:
			if word == "" {
				return c, invalid("it has an empty clause or part of one")
			}
			if len(c.Attributes)+len(c.Directives) > 0 {
				return c, invalid("%s comes after a parameter, and is none", quote(word))
			}
			c.Paths = append(c.Paths, word)
		}
		if s.next() != ';' {
			return c, nil
		}
		s.at++
	}
}

// parameter reads from the sign that follows its name; true if it is a directive.
func (s *scanner) parameter(name string, quoted bool) (p Parameter, directive bool, err error) {
	p.Name = name
	if quoted || name == "" || strings.ContainsFunc(name, notExtended) {
		return p, false, invalid("%s is no name of a parameter", quote(name))
	}
	if s.next() == ':' {
		s.at++
		if directive = s.next() == '='; !directive {
			if p.Type, quoted, err = s.word(";,:="); err != nil {
				return p, false, err
			}
			if quoted || p.Type == "" || s.next() != '=' {
				return p, false, invalid("the type of its attribute %s cannot be read", quote(name))
			}
		}
	}
	s.at++
	p.Value, quoted, err = s.word(";,")
	if err == nil && p.Value == "" && !quoted {
		err = invalid("its parameter %s has no value", quote(name))
	}
	return p, directive, err
}

// word reads a text in quotes or one that ends before one of the stops, without the spaces
// around it.
func (s *scanner) word(stops string) (word string, quoted bool, err error) {
	for !s.end() && isSpace(s.text[s.at]) {
		s.at++
	}
	if s.next() == '"' {
		word, err = s.quoted()
		for err == nil && !s.end() && isSpace(s.text[s.at]) {
			s.at++
		}
		if err == nil && !s.end() && !strings.ContainsRune(stops, rune(s.text[s.at])) {
			err = invalid("something follows the quotes around %s", quote(word))
		}
		return word, true, err
	}
	rest := s.text[s.at:]
	if i := strings.IndexAny(rest, stops); i >= 0 {
		rest = rest[:i]
	}
	s.at += len(rest)
	if strings.ContainsAny(rest, "\"\x00") {
		return "", false, invalid("it has a quote within %s", quote(rest))
	}
	return strings.TrimSpace(rest), false, nil
}

// quoted reads a text in quotes, in which a backslash takes the meaning of a quote or of
// another backslash away.
func (s *scanner) quoted() (string, error) {
	start := s.at
	var b strings.Builder
	for s.at++; !s.end(); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return b.String(), nil
		case c == 0:
			return "", invalid("it has a NUL")
		case c == '\\' && s.at+1 < len(s.text) && (s.text[s.at+1] == '"' || s.text[s.at+1] == '\\'):
			s.at++
			b.WriteByte(s.text[s.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", invalid("its quotes do not end: %s", quote(s.text[start:]))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// notExtended is true of what stands in no name of a parameter: letters, digits, "_", "-", ".".
func notExtended(r rune) bool { return r != '.' && notToken(r) }

// notToken is true of what stands in no part of a symbolic name.
func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}
