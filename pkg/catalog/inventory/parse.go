package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/edged/edged/pkg/catalog"
)

// maxLine bounds a line of a text database. What is longer is of no interest here, but
// for a database that is nothing but one line, which is none.
const maxLine = 1 << 20

// stanzas reads paragraphs of lines "key: value", which is how dpkg's database looks, and
// apk's but for the space. Lines that go on, and fields that nobody wants, are passed over.
func stanzas(r io.Reader, separator string, wanted func(key string) bool, each func(map[string]string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	fields := map[string]string{}
	end := func() error {
		if len(fields) == 0 {
			return nil
		}
		err := each(fields)
		clear(fields)
		return err
	}
	for lines.Scan() {
		line := lines.Text()
		if strings.TrimSpace(line) == "" {
			if err := end(); err != nil {
				return err
			}
			continue
		}
		key, value, ok := strings.Cut(line, separator)
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if wanted(key) {
			fields[key] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read the database: %w", err)
	}
	return end()
}

// parseDpkg reads /var/lib/dpkg/status (deb-control(5)) or a file that describes one
// package in the same form.
func parseDpkg(r io.Reader, each func(catalog.RPM) error) error {
	wanted := func(key string) bool {
		switch key {
		case "Package", "Status", "Version", "Architecture", "Source":
			return true
		}
		return false
	}
	return stanzas(r, ":", wanted, func(f map[string]string) error {
		if !installed(f["Status"]) {
			return nil
		}
		p := catalog.RPM{NEVRA: catalog.NEVRA{Name: f["Package"], Arch: f["Architecture"]}, SRPMName: f["Package"]}
		p.Epoch, p.Version, p.Release = debianVersion(f["Version"])
		source := p.NEVRA
		if name, version, ok := strings.Cut(f["Source"], " "); name != "" {
			p.SRPMName = name
			if ok {
				source.Epoch, source.Version, source.Release = debianVersion(strings.Trim(version, "()"))
			}
		}
		p.SRPMNEVRA = sourceNEVRA(p.SRPMName, source)
		return each(p)
	})
}

// installed reads the last word of a status; a description without one is of a package
// that is there. What is left of one that was removed, its configuration, is not it.
func installed(status string) bool {
	if status == "" {
		return true
	}
	words := strings.Fields(status)
	switch words[len(words)-1] {
	case "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

// debianVersion splits [epoch:]upstream[-revision] (deb-version(7)), where no revision
// is the same as 0.
func debianVersion(s string) (epoch int64, version, release string) {
	if before, rest, ok := strings.Cut(s, ":"); ok {
		if n, err := strconv.ParseInt(before, 10, 32); err == nil && n >= 0 {
			epoch, s = n, rest
		}
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, "0"
}

// parseAPK reads /lib/apk/db/installed (apk's index format).
func parseAPK(r io.Reader, each func(catalog.RPM) error) error {
	wanted := func(key string) bool {
		switch key {
		case "P", "V", "A", "o", "c":
			return true
		}
		return false
	}
	return stanzas(r, ":", wanted, func(f map[string]string) error {
		if f["P"] == "" {
			return nil
		}
		p := catalog.RPM{NEVRA: catalog.NEVRA{Name: f["P"], Version: f["V"], Release: "0", Arch: f["A"]}, SRPMName: f["o"], CommitHash: f["c"]}
		if i := strings.LastIndex(p.Version, "-r"); i >= 0 {
			p.Version, p.Release = p.Version[:i], p.Version[i+1:]
		}
		if p.SRPMName == "" {
			p.SRPMName = p.Name
		}
		p.SRPMNEVRA = sourceNEVRA(p.SRPMName, p.NEVRA)
		return each(p)
	})
}

// sourceNEVRA names a source package as RPM does.
func sourceNEVRA(name string, of catalog.NEVRA) string {
	of.Name, of.Arch = name, "src"
	return strings.TrimSuffix(of.String(), ".rpm")
}

// sourceRPM splits the name of a source package's file, name-version-release.src.rpm;
// errNotSource when it is none.
func sourceRPM(file string) (n catalog.NEVRA, err error) {
	rest, ok := strings.CutSuffix(file, ".src.rpm")
	if !ok {
		rest, ok = strings.CutSuffix(file, ".nosrc.rpm")
	}
	release := strings.LastIndexByte(rest, '-')
	if !ok || release <= 0 {
		return n, errNotSource
	}
	version := strings.LastIndexByte(rest[:release], '-')
	if version <= 0 {
		return n, errNotSource
	}
	return catalog.NEVRA{Name: rest[:version], Version: rest[version+1 : release], Release: rest[release+1:], Arch: "src"}, nil
}

var errNotSource = errors.New("not the name of a source package")
