package manifest

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/distribution/reference"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/module"
)

// modules reads one of the two sections of modules. names are those of both, to
// where they stand.
func (p *parser) modules(n node, system bool, names map[string]string, credentials []credential) []Module {
	o, ok := p.object(n)
	if !ok {
		return nil
	}
	var modules []Module
	for _, m := range o.rest() {
		name, err := module.CanonicalName(m.name)
		switch {
		case err != nil:
			p.problem(m, "%v", plain(err))
			continue
		case name == module.AgentName && system:
			p.notice(m, "not applied: the section [agent] of edged's configuration governs it")
			continue
		case name == module.AgentName:
			p.problem(m, "is the agent's own name: the section [agent] of edged's configuration governs it")
			continue
		case m.isNull():
			// A patch of a twin removes a module so; in a whole manifest it just is not there.
			continue
		}
		if other, taken := names[name]; taken {
			p.problem(m, "is the same module as %s", other)
			continue
		}
		names[name] = m.where()
		if one, ok := p.module(m, name, system, credentials); ok {
			modules = append(modules, one)
		}
	}
	return modules
}

func (p *parser) module(n node, name string, system bool, credentials []credential) (Module, bool) {
	o, ok := p.object(n)
	if !ok {
		return Module{}, false
	}
	m := Module{Order: math.MaxUint32, Identity: n.name}
	if system && name == module.HubName {
		m.Identity = "$" + module.HubName // as existing agents register it
	}
	m.Spec.Name = name
	m.Spec.Type = p.word(o, "type", "docker", "containerd")
	m.Run = p.word(o, "status", "running", "stopped") == "running"
	m.Spec.ImagePullPolicy = p.word(o, "imagePullPolicy", "on-create", "never")
	policy := p.word(o, "restartPolicy", "", "always", "never", "on-failure", "on-unhealthy")
	if order, ok := o.take("startupOrder"); ok {
		if json.Unmarshal(order.raw, &m.Order) != nil {
			p.problem(order, "is not a whole number from 0 to %d", uint32(math.MaxUint32))
		}
	}
	if env, ok := o.take("env"); ok {
		m.Spec.Config.Env = p.env(env)
	}
	if m.Spec.Config.Env == nil {
		m.Spec.Config.Env = []wire.EnvVar{}
	}
	if settings, ok := o.take("settings"); ok {
		m.Policy = p.settings(settings, &m.Spec.Config.Settings, policy, credentials)
		m.KeepUp = m.Policy == "always" || m.Policy == "unless-stopped" || m.Policy == "on-unhealthy"
	} else {
		p.problem(n, "settings is missing")
	}
	o.take("version") // the author's own; nothing depends on it
	p.unknown(o)
	return m, true
}

// settings reads a module's settings and returns the restart policy that holds.
func (p *parser) settings(n node, s *wire.Settings, policy string, credentials []credential) string {
	o, ok := p.object(n)
	if !ok {
		return ""
	}
	image, found := o.take("image")
	if !found {
		p.problem(n, "image is missing")
	} else if s.Image = strings.TrimSpace(p.text(image)); image.raw[0] == '"' {
		if ref, err := reference.ParseDockerRef(s.Image); err != nil {
			p.problem(image, "is %q: %v", s.Image, err)
		} else {
			s.Auth = choose(credentials, ref)
		}
	}
	if hash, ok := o.take("imageHash"); ok {
		s.ImageHash = p.text(hash)
	}
	if management, ok := o.take("management"); ok {
		if json.Unmarshal(management.raw, &s.Management) != nil {
			p.problem(management, "is not true or false")
		}
	}
	if secrets, ok := o.take("secrets"); ok {
		s.Secrets = p.secrets(secrets)
	}
	options, name := p.createOptions(n, o, policy)
	s.CreateOptions = options
	p.unknown(o)
	return name
}

// env reads {"KEY": {"value": ...}} in its order. Numbers and truth values stand for
// their text, as the cloud's tools write them.
func (p *parser) env(n node) []wire.EnvVar {
	o, ok := p.object(n)
	if !ok {
		return nil
	}
	var env []wire.EnvVar
	for _, m := range o.rest() {
		if m.isNull() {
			continue
		}
		if m.name == "" || strings.ContainsAny(m.name, "=\x00") {
			p.problem(m, "is no name of an environment variable")
			continue
		}
		v, ok := p.object(m)
		if !ok {
			continue
		}
		value, ok := v.take("value")
		if !ok {
			p.problem(m, "value is missing")
			continue
		}
		e := wire.EnvVar{Key: m.name}
		switch value.raw[0] {
		case '"':
			e.Value = p.text(value)
		case '{', '[':
			p.problem(value, "is not a string, a number, true or false")
		default:
			e.Value = string(value.raw)
		}
		if strings.Contains(e.Value, "\x00") {
			p.problem(value, "holds a NUL character")
		}
		p.unknown(v)
		env = append(env, e)
	}
	return env
}

// unknown tells of members that nobody took: a misspelt one would else go unseen.
func (p *parser) unknown(o *object) {
	for _, m := range o.rest() {
		p.notice(m, "is not known and has no effect")
	}
}

// plain is an error's text without its class.
func plain(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i > 0 {
		return text[:i]
	}
	return text
}
