// Package manifest reads deployment manifests in the form of Azure IoT Edge (agent
// schema 1.0 and 1.1), in JSON or in YAML, and turns them into what the management API
// takes. A manifest
// is right as a whole or refused as a whole: every problem that the text alone shows
// is found here, before anything on the device is touched.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
)

// MaxSize is the most bytes of a manifest.
const MaxSize = deployment.MaxFile

// Deployment is what a manifest asks for.
type Deployment struct {
	// Revision identifies the manifest's text: its SHA-256 in hex.
	Revision string
	// Modules are in the order in which they are to be started.
	Modules []Module
	// Notices say what in the manifest has no effect on this device, or more of one than
	// its author may know.
	Notices []string
}

// Module is one module that shall be.
type Module struct {
	// Spec is complete: credentials and restart policy are in it, createOptions is an
	// object, the name is in edged's form.
	Spec wire.ModuleSpec
	// Run says that it shall run, else that it shall be there and stopped.
	Run bool
	// KeepUp says that its restart policy never leaves it down, so that somebody
	// stopped it when it is.
	KeepUp bool
	// Policy is the restart policy that holds: always, unless-stopped, on-unhealthy,
	// on-failure or no.
	Policy string
	// Identity is the name under which the module is registered: as the manifest has it,
	// and with a '$' for the system module edgeHub, as existing agents register it.
	Identity string
	// Order is startupOrder: lower ones start earlier.
	Order uint32
}

// Lookup finds the value of ${NAME}.
type Lookup func(name string) (value string, ok bool)

// Parse reads a manifest: the whole document or the object of edgeAgent's desired
// properties alone, as JSON when it begins with a brace and else as YAML. The error is
// *Invalid; each of its problems names the path inside the manifest and, in YAML, the line.
func Parse(text []byte, lookup Lookup) (*Deployment, error) {
	if len(text) > MaxSize {
		return nil, &Invalid{[]string{fmt.Sprintf("it is larger than %d bytes", MaxSize)}}
	}
	// Editors of some systems begin a file with a byte order mark.
	body := bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	p := &parser{lookup: lookup}
	if isYAML(body) {
		var err error
		if body, p.places, err = fromYAML(body); err != nil {
			return nil, &Invalid{[]string{err.Error()}}
		}
	}
	if err := checkSyntax(body); err != nil {
		return nil, &Invalid{[]string{err.Error()}}
	}
	d := &Deployment{Revision: deployment.Revision(text), Modules: p.document(node{raw: body})}
	if len(p.problems) > 0 {
		return nil, &Invalid{p.problems}
	}
	slices.SortFunc(d.Modules, startsBefore)
	d.Notices = p.notices
	return d, nil
}

func startsBefore(a, b Module) int {
	switch {
	case a.Order < b.Order:
		return -1
	case a.Order > b.Order:
		return 1
	}
	return strings.Compare(a.Spec.Name, b.Spec.Name)
}

func checkSyntax(text []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := len(before) - bytes.LastIndexByte(before, '\n') - 1
		return fmt.Errorf("it is not JSON: line %d, column %d: %w", line, column, err)
	}
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	return nil
}

// parser gathers problems instead of ending at the first: who writes manifests
// for devices far away wants them all at once.
type parser struct {
	lookup   Lookup
	problems []string
	notices  []string
	// places are those of a manifest in YAML, by path.
	places map[string]string
}

// where is a node's path, with its line when that is known.
func (p *parser) where(n node) string {
	if place := p.places[n.path]; place != "" {
		return n.where() + " (" + place + ")"
	}
	return n.where()
}

func (p *parser) problem(n node, format string, args ...any) {
	p.problems = append(p.problems, p.where(n)+": "+fmt.Sprintf(format, args...))
}

func (p *parser) notice(n node, text string) {
	p.notices = append(p.notices, p.where(n)+": "+text)
}

// document finds edgeAgent's desired properties and reads them.
func (p *parser) document(root node) []Module {
	top, ok := p.object(root)
	if !ok {
		return nil
	}
	content, whole := top.take("modulesContent")
	if !whole {
		return p.desired(root)
	}
	contents, ok := p.object(content)
	if !ok {
		return nil
	}
	agent, ok := contents.take("$edgeAgent")
	if !ok {
		p.problem(content, "$edgeAgent is missing")
		return nil
	}
	for _, other := range contents.rest() {
		p.notice(other, "not applied: this agent manages modules, not their twins")
	}
	properties, ok := p.object(agent)
	if !ok {
		return nil
	}
	desired, found := properties.take("properties.desired")
	if !found {
		if nested, is := properties.take("properties"); is {
			if members, ok := p.object(nested); ok {
				desired, found = members.take("desired")
			}
		}
	}
	for _, other := range properties.rest() {
		if strings.HasPrefix(other.name, "properties.desired.") {
			p.problem(other, "layered deployments are not supported: only a whole properties.desired is")
		}
	}
	if !found {
		p.problem(agent, "properties.desired is missing")
		return nil
	}
	return p.desired(desired)
}

// desired reads edgeAgent's desired properties.
func (p *parser) desired(n node) []Module {
	o, ok := p.object(n)
	if !ok {
		return nil
	}
	version, found := o.take("schemaVersion")
	if !found {
		p.problem(n, "schemaVersion is missing")
	} else if v := p.version(version); v != "1.0" && v != "1.1" {
		p.problem(version, "is %s; known are \"1.0\" and \"1.1\"", version.raw)
	}
	var credentials []credential
	if runtime, ok := o.take("runtime"); ok {
		credentials = p.runtime(runtime)
	}
	var modules []Module
	names := map[string]string{}
	for _, section := range []string{"systemModules", "modules"} {
		if n, ok := o.take(section); ok {
			modules = append(modules, p.modules(n, section == "systemModules", names, credentials)...)
		}
	}
	for _, other := range o.rest() {
		// What the cloud's own tools put there.
		if !strings.HasPrefix(other.name, "$") && other.name != "integrity" {
			p.notice(other, "is not known and has no effect")
		}
	}
	return modules
}

// version reads the schema's version. YAML's authors write it without quotes.
func (p *parser) version(n node) string {
	if p.places != nil && (string(n.raw) == "1.0" || string(n.raw) == "1.1") {
		return string(n.raw)
	}
	return p.text(n)
}
