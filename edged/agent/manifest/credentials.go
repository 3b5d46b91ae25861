package manifest

import (
	"strings"

	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/lazyregexp"
)

// credential is for images whose repository begins with prefix.
type credential struct {
	prefix string
	auth   wire.Auth
	where  string
}

// runtime reads the credentials of registries; what else stands there is Docker's.
func (p *parser) runtime(n node) []credential {
	o, ok := p.object(n)
	if !ok {
		return nil
	}
	p.word(o, "type", "docker", "containerd")
	settings, ok := o.take("settings")
	if !ok {
		return nil
	}
	s, ok := p.object(settings)
	if !ok {
		return nil
	}
	registries, ok := s.take("registryCredentials")
	if !ok {
		return nil
	}
	all, ok := p.object(registries)
	if !ok {
		return nil
	}
	var credentials []credential
	for _, m := range all.rest() {
		if m.isNull() {
			continue
		}
		c, ok := p.credential(m)
		if !ok {
			continue
		}
		for _, other := range credentials {
			if other.prefix == c.prefix {
				p.problem(m, "is for the same registry as %s", other.where)
			}
		}
		credentials = append(credentials, c)
	}
	return credentials
}

func (p *parser) credential(n node) (credential, bool) {
	o, ok := p.object(n)
	if !ok {
		return credential{}, false
	}
	c := credential{where: n.where()}
	before := len(p.problems)
	for _, field := range []struct {
		name string
		to   *string
	}{{"address", &c.auth.ServerAddress}, {"username", &c.auth.Username}, {"password", &c.auth.Password}} {
		m, ok := o.take(field.name)
		if !ok {
			p.problem(n, "%s is missing", field.name)
			continue
		}
		*field.to = p.resolve(m, p.text(m))
	}
	p.unknown(o)
	if len(p.problems) > before {
		return c, false
	}
	if c.prefix = prefixOf(c.auth.ServerAddress); c.prefix == "" {
		p.problem(n, "address is empty")
		return c, false
	}
	return c, true
}

// prefixOf makes of a registry's address what the full names of its images begin with.
func prefixOf(address string) string {
	a := strings.TrimSpace(address)
	a = strings.TrimPrefix(strings.TrimPrefix(a, "https://"), "http://")
	a = strings.TrimRight(a, "/")
	// Docker's own, by the names under which its registry was and is known.
	switch strings.TrimSuffix(strings.TrimSuffix(a, "/v1"), "/v2") {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return a
}

// choose returns the credentials for an image: those with the longest prefix of its
// name, whole components of it, or nil.
func choose(credentials []credential, image reference.Named) *wire.Auth {
	name := image.Name()
	var best *credential
	for i := range credentials {
		c := &credentials[i]
		if (name == c.prefix || strings.HasPrefix(name, c.prefix+"/")) && (best == nil || len(c.prefix) > len(best.prefix)) {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	auth := best.auth
	return &auth
}

var variable = lazyregexp.New(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// resolve puts values in the place of ${NAME}. A value is not looked at again, so a
// password may hold anything.
func (p *parser) resolve(n node, text string) string {
	return variable().ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if value, ok := p.lookup(name); ok {
			return value
		}
		p.problem(n, "${%s} has no value, in secrets.json or the environment", name)
		return ""
	})
}

// ParseSecrets reads secrets.json, an object of strings. Errors hold no value of it.
func ParseSecrets(text []byte) (map[string]string, error) {
	secrets, err := deployment.ParseSecrets(text)
	if err != nil {
		return nil, &Invalid{[]string{err.Error()}}
	}
	return secrets, nil
}
