package packtest

import (
	"archive/zip"
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bundle is a jar of an OSGi bundle.
type Bundle struct {
	// Headers of the manifest, over those of a sound one (x 1.0.0); an empty value leaves one out.
	Headers map[string]string
	// Manifest is its whole text instead; the headers do not matter then.
	Manifest []byte
	// Files are in the archive besides, by name.
	Files map[string][]byte
	// Store leaves the files as they are.
	Store bool
}

// Header is a header of the manifest.
func (b Bundle) Header(name string) string {
	if value, ok := b.Headers[name]; ok {
		return value
	}
	return map[string]string{"Bundle-ManifestVersion": "2", "Bundle-SymbolicName": "x", "Bundle-Version": "1.0.0"}[name]
}

// Bytes is the jar.
func (b Bundle) Bytes() []byte {
	text := b.Manifest
	if text == nil {
		headers := map[string]string{}
		for _, name := range []string{"Bundle-ManifestVersion", "Bundle-SymbolicName", "Bundle-Version"} {
			headers[name] = b.Header(name)
		}
		maps.Copy(headers, b.Headers)
		text = section("Manifest-Version", "1.0", headers)
	}
	return jar(text, b.Files, b.Store)
}

// jar is a manifest with files after it, by their names.
func jar(manifest []byte, files map[string][]byte, store bool) []byte {
	headers := []*zip.FileHeader{{Name: "META-INF/MANIFEST.MF"}}
	bodies := [][]byte{manifest}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		headers, bodies = append(headers, &zip.FileHeader{Name: name}), append(bodies, files[name])
	}
	for _, h := range headers {
		h.Modified = time.Unix(1e9, 0)
		if !store && !strings.HasSuffix(h.Name, "/") {
			h.Method = zip.Deflate
		}
	}
	return Zip(headers, bodies...)
}

// section is a part of a manifest; long values are folded.
func section(first, value string, headers map[string]string) []byte {
	var b bytes.Buffer
	write := func(name, value string) {
		const fold = 70
		line := name + ": " + value
		for ; len(line) > fold; line = " " + line[fold:] {
			b.WriteString(line[:fold] + "\r\n")
		}
		b.WriteString(line + "\r\n")
	}
	write(first, value)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if headers[name] != "" {
			write(name, headers[name])
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// Class is a class file for a Java, 17 for example, as far as whoever looks for that reads it.
func Class(java int) []byte {
	return []byte{0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, byte(java + 44), 0, 1}
}

// DeploymentPackage is a jar of bundles, as Eclipse Kura takes them.
type DeploymentPackage struct {
	// Headers of the main section, over those of a sound one (p 1.0.0); an empty value leaves one out.
	Headers map[string]string
	// Bundles are at bundles/<symbolic name>_<version>.jar.
	Bundles []Bundle
	// Sections are of other files, by their names; headers replace those of bundles.
	Sections map[string]map[string]string
	// Files are in the archive besides, by name.
	Files map[string][]byte
}

// Path is where a bundle is in a package.
func (b Bundle) Path() string {
	return "bundles/" + b.Header("Bundle-SymbolicName") + "_" + b.Header("Bundle-Version") + ".jar"
}

// Bytes is the package.
func (p DeploymentPackage) Bytes() []byte {
	headers := map[string]string{"DeploymentPackage-SymbolicName": "p", "DeploymentPackage-Version": "1.0.0"}
	maps.Copy(headers, p.Headers)
	sections, files := map[string]map[string]string{}, map[string][]byte{}
	for _, b := range p.Bundles {
		sections[b.Path()] = map[string]string{"Bundle-SymbolicName": b.Header("Bundle-SymbolicName"), "Bundle-Version": b.Header("Bundle-Version")}
		files[b.Path()] = b.Bytes()
	}
	maps.Copy(sections, p.Sections)
	maps.Copy(files, p.Files)
	text := section("Manifest-Version", "1.0", headers)
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		text = append(text, section("Name", name, sections[name])...)
	}
	return jar(text, files, false)
}
