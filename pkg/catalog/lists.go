package catalog

import (
	"fmt"
	"strings"
)

// maxDep and maxRPM are the most characters of each part of a dependency and of an RPM,
// maxFilename those of its file's name.
const (
	maxDep      = 300
	maxRPM      = 200
	maxFilename = 4096
)

// readDeps reads a list of dependencies. Members that it does not know are passed over,
// and what comes twice stays twice. problem is nil when the list is fine.
func readDeps(v any) (deps []Dep, problem any) {
	list, ok := v.([]any)
	switch {
	case v == nil:
		return nil, []string{msgNull}
	case !ok:
		return nil, map[string]any{"detail": []string{notAList(v)}}
	}
	deps = []Dep{}
	problems := make([]any, len(list))
	bad := false
	for i, item := range list {
		var d Dep
		d, problems[i] = readDep(item)
		if len(problems[i].(map[string]any)) > 0 {
			bad = true
		}
		deps = append(deps, d)
	}
	if bad {
		return nil, problems
	}
	return deps, nil
}

func notAList(v any) string {
	return fmt.Sprintf("Expected a list of items but got type %q.", typeName(v))
}

// readDep returns an empty map when the item is fine, which is how the API says so in a list.
func readDep(v any) (d Dep, problems any) {
	o, ok := v.(Object)
	if !ok {
		return d, map[string]any{"detail": []string{fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", typeName(v))}}
	}
	wrong := map[string]any{}
	for _, f := range []struct {
		name string
		to   *string
	}{{"dependency", &d.Dependency}, {"stream", &d.Stream}} {
		value, given := o.Get(f.name)
		problem := msgRequired
		if given {
			*f.to, problem = text{max: maxDep}.read(value)
		}
		if problem != "" {
			wrong[f.name] = []string{problem}
		}
	}
	return d, wrong
}

// rpmKeys are what names an RPM; rpmFields is all that one may have, the first two
// beside those.
var (
	rpmKeys   = []string{"name", "epoch", "version", "release", "arch"}
	rpmFields = append([]string{"srpm_name", "srpm_nevra", "filename", "srpm_commit_hash", "srpm_commit_branch"}, rpmKeys...)
)

// readNEVRA reads what names an RPM. problem is nil when it is fine; of one without a
// part it says which, in the original's form, which is not that of other fields.
func readNEVRA(v any) (n NEVRA, problem any) {
	o, ok := v.(Object)
	if !ok {
		return n, []string{"Unsupported RPM input."}
	}
	missing, wrong := map[string]any{}, map[string]any{}
	for _, key := range rpmKeys {
		value, given := o.Get(key)
		if !given {
			missing[key] = msgRequired
			continue
		}
		var p string
		f := text{max: maxRPM}
		switch key {
		case "name":
			n.Name, p = f.read(value)
		case "epoch":
			n.Epoch, p = readEpoch(value)
		case "version":
			n.Version, p = f.read(value)
		case "release":
			n.Release, p = f.read(value)
		case "arch":
			n.Arch, p = f.read(value)
		}
		if p != "" {
			wrong[key] = []string{p}
		}
	}
	switch {
	case len(missing) > 0:
		return n, missing
	case len(wrong) > 0:
		return n, wrong
	}
	return n, nil
}

// readRPM reads the rest of an RPM that is not known yet. An unknown member is an error
// of the whole request, *Invalid; any other is the field's problem.
func readRPM(o Object, n NEVRA) (r RPM, problem any, err error) {
	if unknown := unknownFields(o, rpmFields); unknown != "" {
		return r, nil, invalid("Unknown fields: %s.", unknown)
	}
	r = RPM{NEVRA: n, Filename: n.DefaultFilename()}
	wrong := map[string]any{}
	for _, f := range []struct {
		name     string
		to       *string
		required bool
		text     text
	}{
		{"srpm_name", &r.SRPMName, true, text{max: maxRPM}},
		{"srpm_nevra", &r.SRPMNEVRA, false, text{max: maxRPM, null: true, blank: true}},
		{"filename", &r.Filename, false, text{max: maxFilename}},
		{"srpm_commit_hash", &r.CommitHash, false, text{max: maxRPM, null: true, blank: true}},
		{"srpm_commit_branch", &r.CommitBranch, false, text{max: maxRPM, null: true, blank: true}},
	} {
		value, given := o.Get(f.name)
		p := ""
		switch {
		case given:
			*f.to, p = f.text.read(value)
		case f.required:
			p = msgRequired
		}
		if p != "" {
			wrong[f.name] = []string{p}
		}
	}
	if len(wrong) > 0 {
		return r, wrong, nil
	}
	if (r.Arch == "src") == (r.SRPMNEVRA != "") {
		return r, []string{"RPM's srpm_nevra should be empty if and only if arch is src"}, nil
	}
	return r, nil, nil
}

// unknownFields lists the members of an object that are none of those known, quoted, in
// the order in which they came.
func unknownFields(o Object, known []string) string {
	var names []string
	for _, m := range o {
		found := false
		for _, k := range known {
			found = found || k == m.Name
		}
		if !found {
			names = append(names, `"`+m.Name+`"`)
		}
	}
	return strings.Join(names, ", ")
}
