package osgi

import (
	"strings"
)

const (
	maxFilterDepth = 32
	maxFilter      = 64 << 10
)

// Filter is a filter of a requirement (OSGi Core 3.2.7, RFC 4515).
type Filter struct {
	op   byte // '&', '|', '!', or 0 for a comparison
	subs []*Filter
	// name, sign and value are of a comparison; sign is one of = >= <= ~=.
	name, sign string
	// parts is the value cut at its stars, and unescaped.
	parts []string
}

// ParseFilter reads a filter. Errors: *pack.Error (Invalid).
func ParseFilter(text string) (*Filter, error) {
	if len(text) > maxFilter {
		return nil, invalid("its filter has more than %d bytes", maxFilter)
	}
	p := &filterParser{text: strings.TrimSpace(text)}
	f, err := p.filter(0)
	if err == nil && p.at != len(p.text) {
		err = p.wrong()
	}
	return f, err
}

type filterParser struct {
	text string
	at   int
}

func (p *filterParser) wrong() error { return invalid("its filter %s cannot be read", quote(p.text)) }

func (p *filterParser) spaces() {
	for p.at < len(p.text) && isSpace(p.text[p.at]) {
		p.at++
	}
}

func (p *filterParser) next() byte {
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *filterParser) filter(depth int) (*Filter, error) {
	if depth > maxFilterDepth {
		return nil, invalid("its filter is nested deeper than %d", maxFilterDepth)
	}
	if p.next() != '(' {
		return nil, p.wrong()
	}
	p.at++
	p.spaces()
	f := &Filter{}
	switch c := p.next(); c {
	case '&', '|', '!':
		f.op = c
		p.at++
		for p.spaces(); p.next() == '('; p.spaces() {
			sub, err := p.filter(depth + 1)
			if err != nil {
				return nil, err
			}
			f.subs = append(f.subs, sub)
		}
		if len(f.subs) == 0 || c == '!' && len(f.subs) > 1 {
			return nil, p.wrong()
		}
	default:
		if err := p.comparison(f); err != nil {
			return nil, err
		}
	}
	if p.next() != ')' {
		return nil, p.wrong()
	}
	p.at++
	return f, nil
}

func (p *filterParser) comparison(f *Filter) error {
	i := strings.IndexAny(p.text[p.at:], "=<>~()")
	if i <= 0 {
		return p.wrong()
	}
	f.name = strings.TrimSpace(p.text[p.at : p.at+i])
	p.at += i
	if f.sign = "="; p.next() != '=' {
		f.sign = string(p.next()) + "="
	}
	if f.name == "" || strings.ContainsAny(f.sign, "()") || !strings.HasPrefix(p.text[p.at:], f.sign) {
		return p.wrong()
	}
	p.at += len(f.sign)
	var part strings.Builder
	for ; p.at < len(p.text) && p.text[p.at] != ')'; p.at++ {
		c := p.text[p.at]
		switch {
		case c == '(':
			return p.wrong()
		case c == '*' && f.sign == "=":
			f.parts = append(f.parts, part.String())
			part.Reset()
			continue
		case c == '\\':
			if p.at++; p.at == len(p.text) {
				return p.wrong()
			}
			c = p.text[p.at]
		}
		part.WriteByte(c)
	}
	f.parts = append(f.parts, part.String())
	return nil
}

// Matches says whether a capability has what the filter asks for. An attribute with several
// values matches if one does. Values that are versions are compared as such.
func (f *Filter) Matches(attributes map[string][]string) bool {
	switch f.op {
	case '&':
		for _, s := range f.subs {
			if !s.Matches(attributes) {
				return false
			}
		}
		return true
	case '|':
		for _, s := range f.subs {
			if s.Matches(attributes) {
				return true
			}
		}
		return false
	case '!':
		return !f.subs[0].Matches(attributes)
	}
	for _, v := range attributes[f.name] {
		if f.matches(v) {
			return true
		}
	}
	return false
}

func (f *Filter) matches(value string) bool {
	if len(f.parts) > 1 {
		return f.like(value)
	}
	asked := f.parts[0]
	c := strings.Compare(value, asked)
	if v, err := ParseVersion(value); err == nil {
		o, err := ParseVersion(asked)
		if err != nil {
			return false
		}
		c = v.Compare(o)
	}
	switch f.sign {
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case "~=":
		return c == 0 || strings.EqualFold(strings.TrimSpace(value), strings.TrimSpace(asked))
	}
	return c == 0
}

// like matches what stands between stars, in order.
func (f *Filter) like(value string) bool {
	rest, ok := strings.CutPrefix(value, f.parts[0])
	if !ok {
		return false
	}
	last := len(f.parts) - 1
	for _, part := range f.parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, f.parts[last])
}
