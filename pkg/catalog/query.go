package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Query is a question for rows.
type Query struct {
	Filters []Filter
	Order   []Order
	// Fields are what is shown of each row.
	Fields Fields
	// Page counts from 1; LastPage is the last one there is. All rows at once are Size 0.
	Page, Size int
}

// LastPage is the page that the word "last" stands for.
const LastPage = -1

// Page is what a query finds.
type Page struct {
	// Count of all rows that fit.
	Count int
	// Number of this page, and of the last one, from 1.
	Number, Last int
	// IDs of its rows, in their order.
	IDs []int64
}

// Fields is a set of members of a row, by their index in the order of answers.
type Fields uint16

// AllFields shows a row whole.
const AllFields = Fields(1<<11 - 1)

// The members of a row.
const (
	FieldUID Fields = 1 << iota
	FieldName
	FieldStream
	FieldVersion
	FieldContext
	FieldActive
	FieldKojiTag
	FieldModuleMD
	FieldRuntimeDeps
	FieldBuildDeps
	FieldRPMs
)

// Has says whether all of some fields are in the set.
func (f Fields) Has(some Fields) bool { return f&some == some }

// ParseFields reads which members are to be shown, each parameter a list of names with
// commas: shown alone, when there are any, without those that are hidden. Errors: *Invalid.
func ParseFields(show, hide []string) (Fields, error) {
	shown, err := fieldSet("fields", show)
	if err != nil {
		return 0, err
	}
	hidden, err := fieldSet("exclude_fields", hide)
	if err != nil {
		return 0, err
	}
	if shown == 0 {
		shown = AllFields
	}
	return shown &^ hidden, nil
}

func fieldSet(param string, values []string) (Fields, error) {
	var set Fields
	var unknown []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			switch i := slices.Index(fieldOrder, name); {
			case name == "":
			case i < 0:
				unknown = append(unknown, name)
			default:
				set |= 1 << i
			}
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return 0, invalid("Unknown fields in %q filter: %s", param, strings.Join(slices.Compact(unknown), ", "))
	}
	return set, nil
}

// Order is one key by which rows are ordered. Of a key with several values to a row,
// the least counts, or with Desc the greatest; a row without any comes first, or with
// Desc last.
type Order struct {
	Key  string
	Desc bool
}

// orderKeys are the keys that are one value of a row: its members and the columns that
// the original has beside them.
var orderKeys = append([]string{"id", "variant_id", "type"}, fieldOrder...)

// nestedKeys are the keys inside lists.
var nestedKeys = map[string][]string{
	"runtime_deps": {"dependency", "stream"},
	"build_deps":   {"dependency", "stream"},
	"rpms":         {"id", "name", "epoch", "version", "release", "arch", "srpm_name", "srpm_nevra", "filename", "srpm_commit_hash", "srpm_commit_branch"},
}

// ParseOrder reads a list of keys with commas. Errors: *Invalid.
func ParseOrder(value string) ([]Order, error) {
	var all []Order
	var unknown []string
	for term := range strings.SplitSeq(value, ",") {
		term = strings.TrimFunc(term, isSpace)
		o := Order{Key: strings.TrimLeft(term, "-"), Desc: strings.HasPrefix(term, "-")}
		if !strings.Contains(o.Key, "__") && !slices.Contains(orderKeys, o.Key) {
			unknown = append(unknown, "u'"+o.Key+"'")
		}
		all = append(all, o)
	}
	if len(unknown) > 0 {
		names := make([]string, len(orderKeys))
		for i, k := range orderKeys {
			names[i] = fmt.Sprintf("'%s'", k)
		}
		return nil, invalid("Unknown query key: [%s] not in fields: [%s]", strings.Join(unknown, ", "), strings.Join(names, ", "))
	}
	for _, o := range all {
		outer, inner, nested := strings.Cut(o.Key, "__")
		switch {
		case !nested:
		case !slices.Contains(orderKeys, outer):
			return nil, invalid("Unknown ordering key: %s", outer)
		case !slices.Contains(nestedKeys[outer], inner):
			return nil, invalid("Unknown ordering key: %s", inner)
		}
	}
	return all, nil
}
