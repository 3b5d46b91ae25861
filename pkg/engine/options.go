package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// options is createOptions, decoded: Docker's ContainerCreate body.
type options struct {
	container.Config
	HostConfig       container.HostConfig
	NetworkingConfig network.NetworkingConfig
}

// honoured lists the fields that this engine acts on; those that change nothing
// on any engine (they concern an attached client, or repeat the image) are among
// them. A field that Docker knows and that is not listed is refused by name unless
// it has its zero value: better a clear no than a module that runs otherwise than its author thinks.
var (
	honouredConfig = set("Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Env", "Cmd",
		"Image", "WorkingDir", "Entrypoint", "Labels", "StopSignal", "StopTimeout", "HostConfig", "NetworkingConfig")
	honouredHostConfig = set("Binds", "Mounts", "LogConfig", "NetworkMode", "RestartPolicy", "CapAdd", "CapDrop", "CgroupnsMode",
		"CgroupParent", "Privileged", "ReadonlyRootfs", "Memory", "NanoCpus", "PidsLimit", "OomScoreAdj",
		"PortBindings", "PublishAllPorts", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts")
	honouredNetworking = set("EndpointsConfig")
)

// The fields that Docker's API knows, at each place. Reading them from the types
// costs more than all else that is done to a module's options, so it is done once.
var (
	knownConfig     = sync.OnceValue(fieldsOf[options])
	knownHostConfig = sync.OnceValue(fieldsOf[container.HostConfig])
	knownNetworking = sync.OnceValue(fieldsOf[network.NetworkingConfig])
)

// parseOptions decodes createOptions and refuses what it cannot honour. unknown
// are fields that Docker's API does not have: they are kept for the echo and
// ignored. Errors are errdefs.InvalidArgument.
func parseOptions(raw json.RawMessage) (o *options, unknown []string, err error) {
	o = new(options)
	if len(bytes.TrimSpace(raw)) == 0 {
		return o, nil, nil
	}
	raw, top, err := stringsToLists(raw)
	if err == nil {
		err = json.Unmarshal(raw, o)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("invalid createOptions: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	var host, net map[string]json.RawMessage
	for key, value := range top {
		switch {
		case strings.EqualFold(key, "HostConfig"):
			_ = json.Unmarshal(value, &host) // decoded above, so it is an object or null
		case strings.EqualFold(key, "NetworkingConfig"):
			_ = json.Unmarshal(value, &net)
		}
	}
	for _, part := range []struct {
		prefix   string
		fields   map[string]json.RawMessage
		honoured map[string]bool
		known    map[string]bool
	}{
		{"", top, honouredConfig, knownConfig()},
		{"HostConfig.", host, honouredHostConfig, knownHostConfig()},
		{"NetworkingConfig.", net, honouredNetworking, knownNetworking()},
	} {
		for _, key := range slices.Sorted(maps.Keys(part.fields)) {
			name := strings.ToLower(key)
			switch {
			case part.honoured[name] || isZeroJSON(part.fields[key]):
			case part.known[name]:
				return nil, nil, fmt.Errorf("createOptions.%s%s is not supported by this version of edged: %w", part.prefix, key, errdefs.ErrInvalidArgument)
			default:
				unknown = append(unknown, part.prefix+key)
			}
		}
	}
	return o, unknown, nil
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[strings.ToLower(n)] = true
	}
	return m
}

// fieldsOf returns the lower-case JSON names of a struct's fields, those of embedded structs among them.
func fieldsOf[T any]() map[string]bool {
	m := map[string]bool{}
	for f := range visibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		m[strings.ToLower(name)] = true
	}
	return m
}

func visibleFields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.IsExported() && !f.Anonymous && !yield(f) {
				return
			}
		}
	}
}

// isZeroJSON says whether a value asks for nothing: what clients send that fill in every field.
func isZeroJSON(v json.RawMessage) bool {
	var x any
	if json.Unmarshal(v, &x) != nil {
		return false
	}
	switch x := x.(type) {
	case nil:
		return true
	case bool:
		return !x
	case float64:
		return x == 0
	case string:
		return x == ""
	case []any:
		return !slices.ContainsFunc(x, func(e any) bool { n, ok := e.(float64); return !ok || n != 0 })
	case map[string]any:
		return len(x) == 0
	}
	return false
}

// stringsToLists turns a Cmd or Entrypoint given as a string into a list of one,
// as Docker documents for both. It returns the members of the object, too.
func stringsToLists(raw json.RawMessage) (json.RawMessage, map[string]json.RawMessage, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, nil, err
	}
	changed := false
	for key, value := range top {
		if !strings.EqualFold(key, "Cmd") && !strings.EqualFold(key, "Entrypoint") {
			continue
		}
		if v := bytes.TrimSpace(value); len(v) > 0 && v[0] == '"' {
			top[key] = slices.Concat([]byte("["), v, []byte("]"))
			changed = true
		}
	}
	if !changed {
		return raw, top, nil
	}
	raw, err := json.Marshal(top)
	return raw, top, err
}
