package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// printer is what --format asks for: one of a command's words, or a template.
type printer struct {
	app      *app
	template *template.Template
}

func (a *app) printer(format string, words ...string) (*printer, error) {
	p := &printer{app: a}
	if slices.Contains(words, format) {
		return p, nil
	}
	if !strings.Contains(format, "{{") {
		return nil, usageError{fmt.Errorf("invalid --format %q: it is %s or a template such as '{{.Name}}'", format, strings.Join(words, ", "))}
	}
	t, err := template.New("format").Funcs(template.FuncMap{"json": jsonText}).Parse(format)
	if err != nil {
		return nil, usageError{fmt.Errorf("invalid --format: %w", err)}
	}
	p.template = t
	return p, nil
}

// execute prints the template for a value, and a newline.
func (p *printer) execute(value any) error {
	var b bytes.Buffer
	if err := p.template.Execute(&b, value); err != nil {
		return usageError{fmt.Errorf("cannot use --format: %w", err)}
	}
	text := b.String()
	if p.app.terminal {
		text = printableText(text)
	}
	_, err := fmt.Fprintln(p.app.out, text)
	return err
}

// show prints a list as --format asks for: as JSON, by the template once an element, or by
// the command's own table.
func show[T any](p *printer, format string, list []T, table func([]T) error) error {
	switch {
	case p.template != nil:
		for i := range list {
			if err := p.execute(&list[i]); err != nil {
				return err
			}
		}
		return nil
	case format == "json":
		return p.app.json(orEmpty(list))
	}
	return table(list)
}

func jsonText(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return printableJSON(strings.TrimSuffix(b.String(), "\n")), err
}

// json prints a value, indented.
func (a *app) json(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("cannot encode: %w", err)
	}
	_, err := fmt.Fprint(a.out, printableJSON(b.String()))
	return err
}
