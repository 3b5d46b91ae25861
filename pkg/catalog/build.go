package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Dep is a build that another one needs, by name and stream.
type Dep struct {
	Dependency string `json:"dependency"`
	Stream     string `json:"stream"`
}

// NEVRA names an RPM, or a package of another system in RPM's terms.
type NEVRA struct {
	Name    string
	Epoch   int64
	Version string
	Release string
	Arch    string
}

// String is the RPM as the API shows it.
func (n NEVRA) String() string {
	return fmt.Sprintf("%s-%d:%s-%s.%s.rpm", n.Name, n.Epoch, n.Version, n.Release, n.Arch)
}

// Compare orders RPMs as the API does: by the parts, in their order.
func (n NEVRA) Compare(o NEVRA) int {
	return cmp.Or(
		strings.Compare(n.Name, o.Name), cmp.Compare(n.Epoch, o.Epoch), strings.Compare(n.Version, o.Version),
		strings.Compare(n.Release, o.Release), strings.Compare(n.Arch, o.Arch))
}

// DefaultFilename is what an RPM's file is called when nobody says otherwise.
func (n NEVRA) DefaultFilename() string {
	return fmt.Sprintf("%s-%s-%s.%s.rpm", n.Name, n.Version, n.Release, n.Arch)
}

// RPM is a package that builds contain. Those of the API are shared: the first that
// brings one says what it is, and it stays when its builds go.
type RPM struct {
	NEVRA
	// SRPMName is the component: the name of the source package.
	SRPMName string
	// SRPMNEVRA is the source package; empty if and only if Arch is "src".
	SRPMNEVRA string
	Filename  string
	// CommitHash and CommitBranch say where the source is from; empty when nobody said.
	CommitHash, CommitBranch string
}

// Row is a build as it is kept and shown.
type Row struct {
	// ID grows with each row that is made.
	ID                                  int64
	UID, Name, Stream, Version, Context string
	Active                              bool
	KojiTag, ModuleMD                   string
	RuntimeDeps, BuildDeps, RPMs        json.RawMessage // arrays, as answers have them: made once, when the row is written
	// Source is empty for a row of the API, else what edged's own index made it of.
	Source string
	// Warning says in what ModuleMD and the row disagree; empty: in nothing, or it is no modulemd.
	Warning string
}

// SetUID composes the uid anew from what it is made of.
func (r *Row) SetUID() {
	r.UID = strings.Join([]string{r.Name, r.Stream, r.Version, r.Context}, ":")
}

// Parts are the lists of a row, for a Store to find rows by; nil leaves a list as it is.
type Parts struct {
	RuntimeDeps, BuildDeps *[]Dep
	// RPMs are ids that a Tx gave.
	RPMs *[]int64
}

// encodeDeps writes a list of dependencies as answers have it, in the order given.
func encodeDeps(deps []Dep) json.RawMessage {
	return encode(append([]Dep{}, deps...))
}

// encodeRPMs writes a list of RPMs as answers have it.
func encodeRPMs(rpms []NEVRA) json.RawMessage {
	slices.SortFunc(rpms, NEVRA.Compare)
	names := make([]string, len(rpms))
	for i, r := range rpms {
		names[i] = r.String()
	}
	return encode(names)
}

// encode is JSON without spaces, in which UTF-8 is as it is.
func encode(v any) json.RawMessage {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and structs of strings
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n"))
}
