// Package firstconfig writes the first configuration of a device, by itself or from
// that of Azure IoT Edge.
package firstconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
)

// FromIoTEdge reads a config.toml of Azure IoT Edge and returns what edged can take of
// it, and notes on what it cannot, each with its key. No note holds a value. The error
// is errdefs.InvalidArgument.
func FromIoTEdge(text []byte) (v Values, notes []string, err error) {
	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		return v, nil, fmt.Errorf("cannot read the configuration of IoT Edge: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	t := &taker{doc: doc}
	v.Hostname = t.take("hostname")
	v.TrustBundle = t.takeFile("trust_bundle_cert")
	v.CACert, v.CAKey = t.takeFile("edge_ca", "cert"), t.takeFile("edge_ca", "pk")
	if v.CACert == "" || v.CAKey == "" {
		v.CACert, v.CAKey = "", "" // one without the other is nothing
	}
	v.Hub, v.DeviceID = t.take("provisioning", "iothub_hostname"), t.take("provisioning", "device_id")
	for part := range strings.SplitSeq(t.take("provisioning", "connection_string"), ";") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "HostName":
			v.Hub = value
		case "DeviceId":
			v.DeviceID = value
		case "SharedAccessKey":
			t.notes = append(t.notes, "provisioning.connection_string: its key is not taken: edged has keys of its own and does not speak to the hub")
		}
	}
	t.take("provisioning", "source")
	for key, why := range map[string]string{
		"agent":           "not taken: edgeAgent of IoT Edge needs its cloud; edged brings an agent that applies manifests from a file (edgectl apply)",
		"moby_runtime":    "not taken: edged runs modules on containerd",
		"parent_hostname": "not taken: edged does not speak to a parent; give modules its name by an env of the manifest",
		"connect":         "not taken: modules find the sockets by IOTEDGE_WORKLOADURI, as before",
		"listen":          "not taken: modules find the sockets by IOTEDGE_WORKLOADURI, as before",
	} {
		if _, ok := doc[key]; ok {
			delete(doc, key)
			t.notes = append(t.notes, key+": "+why)
		}
	}
	t.rest("", doc)
	slices.Sort(t.notes)
	return v, t.notes, nil
}

// taker takes values out of a document; what is left was not understood.
type taker struct {
	doc   map[string]any
	notes []string
}

func (t *taker) take(path ...string) string {
	m := t.doc
	for _, key := range path[:len(path)-1] {
		next, ok := m[key].(map[string]any)
		if !ok {
			return ""
		}
		m = next
	}
	last := path[len(path)-1]
	s, ok := m[last].(string)
	if ok {
		delete(m, last)
	}
	return s
}

// takeFile takes a file's URI; of the other kinds, keys in a TPM or of a server, edged
// has no equal.
func (t *taker) takeFile(path ...string) string {
	uri := t.take(path...)
	if uri == "" {
		return ""
	}
	file, ok := strings.CutPrefix(uri, "file://")
	if !ok || !strings.HasPrefix(file, "/") {
		t.notes = append(t.notes, strings.Join(path, ".")+": not taken: it is not a file:///path")
		return ""
	}
	return file
}

func (t *taker) rest(prefix string, m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if below, ok := m[key].(map[string]any); ok {
			t.rest(prefix+key+".", below)
			continue
		}
		t.notes = append(t.notes, prefix+key+": not taken: edged has nothing like it")
	}
}
