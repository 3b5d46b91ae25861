package bundles

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

// localInfo tells of bundles of this device.
func (a *api) localInfo(w http.ResponseWriter, r *httpapi.Request) error {
	s, err := anySelector.read(r)
	if err != nil {
		return err
	}
	b, err := a.infos(r, s)
	if err != nil {
		return err
	}
	httpapi.WriteBytes(w, http.StatusOK, b)
	return nil
}

// info tells of bundles of all nodes, of which this device knows itself. What could not be
// found here is said of the node, and no error of the request.
func (a *api) info(w http.ResponseWriter, r *httpapi.Request) error {
	s, err := anySelector.read(r)
	if err == nil {
		err = a.checkTarget(r.Query.Get("target"))
	}
	if err == nil {
		err = bundle.CheckKeys(s.keys) // what no node could find is an error of the request
	}
	if err != nil {
		return err
	}
	b, err := a.infos(r, s)
	if errdefs.IsNotFound(err) || errdefs.IsUnavailable(err) {
		b, err = json.Marshal(wire.BundleNodeError{
			Message: "Error retrieving bundle info from cluster node " + a.Node, Cause: nodeCause(err),
		})
	}
	if err != nil {
		return err
	}
	name, err := json.Marshal(a.Node)
	if err != nil {
		return err
	}
	httpapi.WriteBytes(w, http.StatusOK, []byte("{"), name, []byte(":"), b, []byte("}"))
	return nil
}

// nodeCause is an error as the contract has it in a node's place.
func nodeCause(err error) string {
	if errdefs.IsNotFound(err) {
		return "org.jahia.services.modulemanager.ModuleNotFoundException: " + httpapi.Message(err)
	}
	return httpapi.Message(err)
}

// infos is what there is to tell of a selector's bundles: of one, or of each by its key.
func (a *api) infos(r *httpapi.Request, s selector) ([]byte, error) {
	var all []bundle.Named
	var err error
	switch {
	case s.one:
		info, err := a.Bundles.Info(r.Context(), s.keys[0])
		if err != nil {
			return nil, err
		}
		return json.Marshal(encode(info))
	case s.listed:
		all, err = a.Bundles.Infos(r.Context(), s.keys)
	default:
		all, err = a.Bundles.Select(r.Context(), s.bucket)
	}
	if err != nil {
		return nil, err
	}
	return byKey(all, func(n bundle.Named) any { return encode(n.Info) })
}

// localState tells the state alone: of one bundle, or of a list.
func (a *api) localState(w http.ResponseWriter, r *httpapi.Request) error {
	s, err := keysAlone.read(r)
	if err != nil {
		return err
	}
	if s.one {
		info, err := a.Bundles.Info(r.Context(), s.keys[0])
		if err != nil {
			return err
		}
		httpapi.WriteJSON(w, http.StatusOK, info.State)
		return nil
	}
	all, err := a.Bundles.Infos(r.Context(), s.keys)
	if err != nil {
		return err
	}
	b, err := byKey(all, func(n bundle.Named) any { return n.State })
	if err != nil {
		return err
	}
	httpapi.WriteBytes(w, http.StatusOK, b)
	return nil
}

// byKey is an object with a member a bundle, in their order.
func byKey(all []bundle.Named, value func(bundle.Named) any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, n := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(n.Key)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(value(n))
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(i bundle.Info) wire.BundleState {
	s := wire.BundleState{Type: string(i.Kind), OSGiState: string(i.State)}
	if i.Module != "" {
		text := string(i.Module)
		s.ModuleState = &text
	}
	return s
}

// selector is what the path of a question names: one bundle, a list of them, or a bucket.
type selector struct {
	one, listed bool
	keys        []string
	bucket      bundle.Selector
}

// forms are those that a question has of selectors, which are the contract's: a path of
// another form has no route, which is false.
type forms func(text string) (selector, bool)

func (f forms) fits(r *httpapi.Request) bool {
	text, err := r.Var("selector")
	if err != nil {
		return true // it is the handler who says so
	}
	_, ok := f(text)
	return ok
}

func (f forms) read(r *httpapi.Request) (selector, error) {
	text, err := r.Var("selector")
	s, _ := f(text)
	return s, err
}

// keysAlone are the forms of _localState. There are no wildcards: an asterisk is text.
var keysAlone forms = func(text string) (selector, bool) {
	if s := parseList(text); s.listed {
		return s, true
	}
	return selector{one: true, keys: []string{text}}, !strings.ContainsAny(text, "[]")
}

// anySelector are the forms of _info and _localInfo.
var anySelector forms = func(text string) (selector, bool) {
	s, ok := keysAlone(text)
	bucket, wild := strings.CutSuffix(text, "/*")
	switch {
	case !ok || !strings.Contains(text, "*"):
		return s, ok
	case s.listed:
		return s, false
	case text == "*":
		return selector{bucket: bundle.All}, true
	case wild && bucket != "":
		return selector{bucket: bundle.ParseSelector(bucket)}, true
	}
	return s, false
}

// parseList reads keys in square brackets. Empty ones and spaces around them are left out:
// scripts in the field send a comma at the beginning.
func parseList(text string) selector {
	inner, ok := strings.CutPrefix(text, "[")
	if inner, ok2 := strings.CutSuffix(inner, "]"); ok && ok2 && !strings.ContainsAny(inner, "[]") {
		s := selector{listed: true}
		for key := range strings.SplitSeq(inner, ",") {
			if key = strings.TrimSpace(key); key != "" {
				s.keys = append(s.keys, key)
			}
		}
		return s
	}
	return selector{}
}
