package catalog

// The most characters of each field.
const (
	maxName    = 300
	maxKojiTag = 300
	maxPart    = 100 // stream, version, context
)

// fieldOrder is the order of the members of a row in answers.
var fieldOrder = []string{"uid", "name", "stream", "version", "context", "active", "koji_tag", "modulemd", "runtime_deps", "build_deps", "rpms"}

// change is what a body asks for, read and found fine but for its RPMs.
type change struct {
	name, stream, version, context, kojiTag, modulemd *string
	active                                            *bool
	runtimeDeps, buildDeps                            *[]Dep
	rpms                                              []any
	hasRPMs                                           bool
	doc                                               parsed
	// problems are those of all fields that were found so far.
	problems map[string]any
}

// readChange reads a body. With partial, as for PATCH, nothing is required. All fields
// are looked at before it says what is wrong: see change.problems. What is wrong with
// the body as a whole is an *Invalid.
func (c *Catalog) readChange(body any, partial bool) (*change, error) {
	o, ok := body.(Object)
	switch {
	case body == nil:
		return nil, &Invalid{Detail: []string{"No data provided"}}
	case !ok:
		return nil, &Invalid{Detail: []string{"Invalid input: must be a dict."}}
	}
	if unknown := unknownFields(o, fieldOrder); unknown != "" {
		return nil, invalid("Unknown fields: %s.", unknown)
	}
	if _, given := o.Get("uid"); given {
		return nil, invalid(`Can not update read only fields: "uid".`)
	}
	ch := &change{problems: map[string]any{}}
	for _, f := range []struct {
		name string
		to   **string
		text text
	}{
		{"name", &ch.name, text{max: maxName}},
		{"stream", &ch.stream, text{max: maxPart}},
		{"version", &ch.version, text{max: maxPart}},
		{"context", &ch.context, text{max: maxPart}},
		{"koji_tag", &ch.kojiTag, text{max: maxKojiTag}},
		{"modulemd", &ch.modulemd, text{bytes: c.ModuleMD}},
	} {
		value, given := o.Get(f.name)
		problem := ""
		switch {
		case given:
			var s string
			s, problem = f.text.read(value)
			*f.to = &s
		case !partial:
			problem = msgRequired
		}
		if problem != "" {
			ch.problems[f.name] = []string{problem}
		}
	}
	if value, given := o.Get("active"); given {
		b, problem := readBool(value)
		if ch.active = &b; problem != "" {
			ch.problems["active"] = []string{problem}
		}
	}
	ch.lists(o)
	if ch.modulemd != nil && len(ch.problems) == 0 {
		ch.doc = parse(*ch.modulemd)
	}
	return ch, nil
}

func (ch *change) lists(o Object) {
	for _, f := range []struct {
		name string
		to   **[]Dep
	}{{"runtime_deps", &ch.runtimeDeps}, {"build_deps", &ch.buildDeps}} {
		if value, given := o.Get(f.name); given {
			deps, problem := readDeps(value)
			if *f.to = &deps; problem != nil {
				ch.problems[f.name] = problem
			}
		}
	}
	value, given := o.Get("rpms")
	if !given {
		return
	}
	ch.hasRPMs = true
	switch v := value.(type) {
	case nil:
		ch.problems["rpms"] = []string{msgNull}
	case []any:
		ch.rpms = v
	case Object:
		if len(v) > 0 { // the original goes through its names, which are no RPMs
			ch.problems["rpms"] = []string{"Unsupported RPM input."}
		}
	default:
		ch.problems["rpms"] = []string{notAList(value)}
	}
}

// find looks the change's RPMs up and makes those that are new. The first that is wrong
// is the field's problem; errors are those of the whole request.
func (ch *change) find(tx Tx) (nevras []NEVRA, ids []int64, err error) {
	seen := map[int64]bool{}
	for _, item := range ch.rpms {
		n, problem := readNEVRA(item)
		if problem != nil {
			ch.problems["rpms"] = problem
			return nil, nil, nil
		}
		id, known, err := tx.RPM(n)
		if err == nil && !known {
			var r RPM
			if r, problem, err = readRPM(item.(Object), n); problem != nil {
				ch.problems["rpms"] = problem
				return nil, nil, nil
			}
			if err == nil {
				id, err = tx.AddRPM(&r)
			}
		}
		if err != nil {
			return nil, nil, err
		}
		if !seen[id] {
			seen[id] = true
			nevras, ids = append(nevras, n), append(ids, id)
		}
	}
	return nevras, ids, nil
}

// apply puts the change into a row and says which lists are new. Errors: *Invalid with
// the problems of all fields.
func (ch *change) apply(tx Tx, r *Row) (Parts, error) {
	nevras, ids, err := ch.find(tx)
	if err != nil {
		return Parts{}, err
	}
	if len(ch.problems) > 0 {
		return Parts{}, &Invalid{Fields: ch.problems}
	}
	for _, f := range []struct{ from, to *string }{
		{ch.name, &r.Name},
		{ch.stream, &r.Stream},
		{ch.version, &r.Version},
		{ch.context, &r.Context},
		{ch.kojiTag, &r.KojiTag},
		{ch.modulemd, &r.ModuleMD},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if ch.active != nil {
		r.Active = *ch.active
	}
	parts := Parts{RuntimeDeps: ch.runtimeDeps, BuildDeps: ch.buildDeps}
	if ch.runtimeDeps != nil {
		r.RuntimeDeps = encodeDeps(*ch.runtimeDeps)
	}
	if ch.buildDeps != nil {
		r.BuildDeps = encodeDeps(*ch.buildDeps)
	}
	if ch.hasRPMs {
		parts.RPMs, r.RPMs = &ids, encodeRPMs(nevras)
	}
	r.SetUID()
	return parts, nil
}
