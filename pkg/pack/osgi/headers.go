package osgi

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/edged/edged/pkg/lazyregexp"
)

// maxSegment is the longest segment of a bundle's key, in bytes.
const maxSegment = 255

var symbolicForm = lazyregexp.New(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// headerReader reads the headers of a bundle and keeps the first error.
type headerReader struct {
	main *Section
	// strict is true from Bundle-ManifestVersion 2 on: older frameworks overlooked a lot.
	strict bool
	err    error
}

// fail remembers an error, with the header's name before it.
func (h *headerReader) fail(header string, err error) {
	if err == nil || h.err != nil {
		return
	}
	h.err = invalid("%s: %w", header, err)
}

// clauses reads a header; nil if there is none.
func (h *headerReader) clauses(header string) []Clause {
	text, ok := h.main.Lookup(header)
	if !ok || h.err != nil {
		return nil
	}
	all, err := ParseHeader(text)
	h.fail(header, err)
	if h.err == nil && h.strict && header != bundleNativeCode {
		for _, c := range all {
			h.fail(header, checkAttributes(c))
		}
	}
	return all
}

// single reads a header that is one clause with one path.
func (h *headerReader) single(header string) (Clause, bool) {
	all := h.clauses(header)
	if h.err != nil || all == nil {
		return Clause{}, false
	}
	if len(all) != 1 || len(all[0].Paths) != 1 {
		h.fail(header, invalid("it names more than one thing"))
		return Clause{}, false
	}
	return all[0], true
}

// The headers that more than one place knows.
const (
	bundleSymbolicName   = "Bundle-SymbolicName"
	bundleVersion        = "Bundle-Version"
	bundleNativeCode     = "Bundle-NativeCode"
	bundleName           = "Bundle-Name"
	executionEnvironment = "Bundle-RequiredExecutionEnvironment"
	fragmentHost         = "Fragment-Host"
	implementation       = "Implementation-Version"
	requireCapability    = "Require-Capability"
	provideCapability    = "Provide-Capability"
	jahiaDepends         = "Jahia-Depends"
	jahiaGroup           = "Jahia-GroupId"
	jahiaModuleType      = "Jahia-Module-Type"
	jahiaRequired        = "Jahia-Required-Version"
)

// readHeaders reads the main section of a manifest.
func readHeaders(main *Section) (*Bundle, error) {
	h := &headerReader{main: main}
	b := &Bundle{
		Name: main.Get(bundleName), Vendor: main.Get("Bundle-Vendor"), Description: main.Get("Bundle-Description"),
		ImplementationVersion: main.Get(implementation), RequiredVersion: main.Get(jahiaRequired), Kind: PlainBundle,
	}
	h.manifestVersion(b)
	h.identity(b)
	h.fragment(b)
	if _, module := main.Lookup(jahiaModuleType); module {
		b.Kind = Module
	}
	h.wiring(b)
	h.environment(b)
	h.jahia(b)
	if h.err != nil {
		return nil, h.err
	}
	return b, nil
}

func (h *headerReader) manifestVersion(b *Bundle) {
	const header = "Bundle-ManifestVersion"
	text, ok := h.main.Lookup(header)
	switch {
	case !ok || text == "1":
		b.ManifestVersion = 1
	case text == "2":
		b.ManifestVersion, h.strict = 2, true
	default:
		h.fail(header, invalid("%s is neither 1 nor 2", quote(text)))
	}
}

// identity reads what the bundle's key is made of.
func (h *headerReader) identity(b *Bundle) {
	if _, ok := h.main.Lookup(bundleSymbolicName); !ok {
		h.fail(bundleSymbolicName, ErrMissing)
	}
	if c, ok := h.single(bundleSymbolicName); ok {
		b.SymbolicName = c.Paths[0]
		h.fail(bundleSymbolicName, checkSymbolicName(b.SymbolicName))
		singleton, _ := c.Directive("singleton")
		b.Singleton = strings.EqualFold(singleton, "true")
	}
	header := bundleVersion
	text, ok := h.main.Lookup(header)
	if !ok {
		header = implementation
		if text, ok = h.main.Lookup(header); !ok {
			h.fail(bundleVersion, fmt.Errorf("%w, and so is %s", ErrMissing, implementation))
			return
		}
	}
	var err error
	b.Version, err = ParseVersion(text)
	h.fail(header, err)
	b.GroupID = h.main.Get(jahiaGroup)
	if len(b.GroupID) > maxSegment || strings.ContainsAny(b.GroupID, "/*[],") || strings.ContainsFunc(b.GroupID, unicode.IsControl) {
		h.fail(jahiaGroup, invalid("%s is no group: it has more than %d bytes or one of / * [ ] ,", quote(b.GroupID), maxSegment))
	}
}

func checkSymbolicName(name string) error {
	if len(name) > maxSegment || !symbolicForm().MatchString(name) {
		return invalid("%s is no symbolic name: parts of letters, digits, _ and -, with dots between them, of %d bytes at most", quote(name), maxSegment)
	}
	return nil
}

func (h *headerReader) fragment(b *Bundle) {
	c, ok := h.single(fragmentHost)
	if !ok {
		return
	}
	b.Kind, b.FragmentHost = Fragment, c.Paths[0]
	h.fail(fragmentHost, checkSymbolicName(b.FragmentHost))
	if text, ok := c.Attribute(bundleRangeKey); ok {
		r, err := ParseRange(text)
		h.fail(fragmentHost, err)
		b.HostVersions = &r
	}
	// A fragment of the framework itself is called an extension (OSGi Core 3.15).
	if extension, ok := c.Directive("extension"); ok && extension != "framework" {
		h.fail(fragmentHost, invalid("the extension %s is not supported by frameworks", quote(extension)))
	}
}

// environment reads what the bundle asks of the machine.
func (h *headerReader) environment(b *Bundle) {
	// Empty is none, to frameworks as well; it is the one header where it is.
	if h.main.Get(executionEnvironment) != "" {
		for _, c := range h.clauses(executionEnvironment) {
			b.ExecutionEnvironments = append(b.ExecutionEnvironments, c.Paths...)
		}
	}
	if policy, ok := h.single("Bundle-ActivationPolicy"); ok {
		b.Lazy = policy.Paths[0] == "lazy"
	}
	b.NativeCode = h.clauses(bundleNativeCode)
	h.fail(bundleNativeCode, checkNativeCode(b.NativeCode))
}

func (h *headerReader) jahia(b *Bundle) {
	var err error
	if text, ok := h.main.Lookup(jahiaDepends); ok {
		b.Depends, err = ParseDepends(text)
		h.fail(jahiaDepends, err)
	}
	if b.RequiredVersion != "" {
		_, err = serverRequirement(b.RequiredVersion)
		h.fail(jahiaRequired, err)
	}
}
