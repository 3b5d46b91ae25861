// Command licenses reads which modules are linked into programs, recognises the license
// of each, fails on one that edged may not be distributed with, and writes their texts
// for the packages, as most of these licenses demand:
//
//	licenses -o FILE PROGRAM...
package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are licenses that ask for their text and for nothing else of those who distribute programs.
var allowed = map[string]bool{"Apache-2.0": true, "MIT": true, "BSD-2-Clause": true, "BSD-3-Clause": true, "ISC": true}

// documentation is licensed apart and linked into nothing.
var documentation = regexp.MustCompile(`(?i)^(LICENSE|COPYING)[.-]docs?$`)

// listing tells of other people's code, what is linked into nothing included: its text is passed on, and not judged.
var listing = regexp.MustCompile(`(?i)(3rd|third)-?party`)

var licenseFile = regexp.MustCompile(`(?i)^(LICEN[SC]E|COPYING|COPYRIGHT|NOTICE|PATENTS)([.-].*)?$`)

// module is one that is linked in, and where its source is.
type module struct{ Path, Version, Dir string }

func main() {
	out := flag.String("o", "", "`file` for the texts")
	flag.Parse()
	if *out == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(out string, programs []string) error {
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	var texts bytes.Buffer
	var failed []error
	for _, m := range modules {
		names, err := m.write(&texts)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Printf("%-62s %-38s %s\n", m.Path, m.Version, strings.Join(names, ", "))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	fmt.Printf("licenses: %d modules, all under licenses that are allowed\n", len(modules))
	return os.WriteFile(out, texts.Bytes(), 0o644)
}

// linked are the modules of all programs, Go's own library among them.
func linked(programs []string) ([]module, error) {
	found := map[string]module{"std": {Path: "the Go standard library", Version: runtime.Version(), Dir: runtime.GOROOT()}}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, fmt.Errorf("cannot read what is linked into %s: %w", program, err)
		}
		for _, d := range info.Deps {
			if d.Replace != nil {
				d = d.Replace
			}
			found[d.Path] = module{Path: d.Path, Version: d.Version}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path]
		if m.Dir != "" {
			continue
		}
		b, err := exec.Command("go", "mod", "download", "-json", m.Path+"@"+m.Version).Output()
		if err != nil {
			return nil, fmt.Errorf("cannot find source of %s: %w", m.Path, err)
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("cannot find source of %s: %w", m.Path, err)
		}
		found[path] = m
	}
	return slices.SortedFunc(maps.Values(found), func(a, b module) int { return strings.Compare(a.Path, b.Path) }), nil
}

// write appends the module's texts and returns the names (SPDX) of its licenses.
func (m module) write(to *bytes.Buffer) ([]string, error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) || documentation.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(to, "======== %s %s: %s ========\n\n%s\n\n", m.Path, m.Version, e.Name(), bytes.TrimSpace(text))
		if listing.MatchString(e.Name()) {
			continue
		}
		for _, match := range licensecheck.Scan(text).Match {
			if match.IsURL || match.ID == "GooglePatentsFile" || match.ID == "GooglePatentClause" { // patents granted beside the license
				continue
			}
			if !allowed[match.ID] {
				return nil, fmt.Errorf("%s %s is under %s (%s), which is not allowed", m.Path, m.Version, match.ID, e.Name())
			}
			names[match.ID] = true
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s %s has no license that is known", m.Path, m.Version)
	}
	return slices.Sorted(maps.Keys(names)), nil
}
