package modulemd

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
)

// platform is the modulemd of the catalog API's own example, of version 1.
const platform = `data:
  description: Fedora 29 traditional base
  license:
    module: [MIT]
  name: platform
  profiles:
    buildroot:
      rpms: [bash, bzip2, coreutils, cpio, diffutils, fedora-release, findutils, gawk,
        gcc, gcc-c++, grep, gzip, info, make, patch, redhat-rpm-config, rpm-build,
        sed, shadow-utils, tar, unzip, util-linux, which, xz]
  stream: f29
  summary: Fedora 29 traditional base
  context: 00000000
  version: 4
  dependencies:
    requires: {base: f29}
    buildrequires: {bootstrap: f29}
document: modulemd
version: 1`

const second = `---
document: modulemd-defaults
version: 1
data: [not, a, build]
---
document: modulemd
version: 2
data:
  name: perl
  stream: "5.30"
  version: 20190711223131
  context: 0b1e
  arch: x86_64
  dependencies:
  - buildrequires: {platform: [f30]}
    requires: {platform: [f29, -f28], runtime: []}
  - requires: {platform: [f30]}
  artifacts:
    rpms:
    - perl-4:5.30.0-440.x86_64
    - {odd: one}
...
`

func TestBothVersionsAreRead(t *testing.T) {
	d, err := Parse(platform)
	require.NoError(t, err)
	require.Equal(t, &Document{
		Version: 1, Name: "platform", Stream: "f29", ModuleVersion: "4", Context: "00000000",
		Requires: []map[string][]string{{"base": {"f29"}}}, BuildRequires: []map[string][]string{{"bootstrap": {"f29"}}},
	}, d, "a context of digits is no number")
	d, err = Parse(second)
	require.NoError(t, err)
	require.Equal(t, &Document{
		Version: 2, Name: "perl", Stream: "5.30", ModuleVersion: "20190711223131", Context: "0b1e", Arch: "x86_64",
		Requires:      []map[string][]string{{"platform": {"f29", "-f28"}, "runtime": nil}, {"platform": {"f30"}}},
		BuildRequires: []map[string][]string{{"platform": {"f30"}}, {}}, Artifacts: []string{"perl-4:5.30.0-440.x86_64"},
	}, d)
}

func TestWhatIsNoModulemdIsPassedOver(t *testing.T) {
	for _, text := range []string{
		"data here", "modulemd", "document: modulemd", "document: modulemd\nversion: 3\ndata: {}", "document: modulemd-translations\nversion: 1\ndata: {}", "modulemd: [", "- modulemd",
		"modulemd: &a [*a]", "{modulemd: {modulemd",
	} {
		_, err := Parse(text)
		require.True(t, errdefs.IsNotFound(err), "%s: %v", text, err)
	}
	d, err := Parse("document: modulemd\nversion: 2\ndata: [a]\n")
	require.NoError(t, err)
	require.Empty(t, d.Name)
	for _, text := range []string{"# modulemd\n" + strings.Repeat("x", foreign.text), "modulemd: [" + strings.Repeat("a,", foreign.values) + "]"} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrTooLarge)
	}
}

// TestATextThatIsMadeToBeSlowIsReadAtOnce: each of these took gigabytes, or minutes, when the
// library made maps of them.
func TestATextThatIsMadeToBeSlowIsReadAtOnce(t *testing.T) {
	const head = "document: modulemd\nversion: 2\ndata:\n name: a\n"
	for name, text := range map[string]string{
		"one key again and again": head + strings.Repeat("a:\n", 40_000),
		"many in data":            head + strings.Repeat(" a:\n", 40_000),
		"many in a dependency":    head + " dependencies:\n - requires:\n" + strings.Repeat("    a:\n", 40_000),
		"many aliases":            head + " x: &x [" + strings.Repeat("a,", 30_000) + "]\n dependencies: [" + strings.Repeat("{requires: {a: *x}},", 10_000) + "]\n",
		"many aliases of maps":    head + " x: &x {requires: {" + strings.Repeat("a: ,", 20_000) + "}}\n dependencies: [" + strings.Repeat("*x,", 20_000) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d, err := Parse(text)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, "a", d.Name)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20))
		})
	}
}

func TestWhatIsWrittenIsReadTheSame(t *testing.T) {
	made := Made{
		Name: "debian", Stream: "12.4", Context: "1a2b3c4d", Arch: "amd64", Version: 20240110000000, Summary: "Image docker.io/library/debian:12.4", Description: "Of this device.",
		Requires: map[string]string{"platform": "1", "any": ""},
		Edge: Edge{
			Digest: "sha256:00", MediaType: "application/vnd.oci.image.manifest.v1+json", Arch: "amd64", Reference: "docker.io/library/debian:12.4",
			Components: map[string][]string{"openssl": {"libssl3-0:3.0.11-1.amd64", "openssl-0:3.0.11-1.amd64"}, "bash": {"bash-0:5.2-1.amd64"}},
		},
	}
	text, err := Write(&made)
	require.NoError(t, err)
	again, err := Write(&made)
	require.NoError(t, err)
	require.Equal(t, text, again)
	d, err := Parse(text)
	require.NoError(t, err)
	require.Equal(t, &Document{
		Version: 2, Name: "debian", Stream: "12.4", ModuleVersion: "20240110000000", Context: "1a2b3c4d", Arch: "amd64",
		Requires: []map[string][]string{{"platform": {"1"}, "any": nil}}, BuildRequires: []map[string][]string{{}},
		Artifacts: []string{"bash-0:5.2-1.amd64", "libssl3-0:3.0.11-1.amd64", "openssl-0:3.0.11-1.amd64"}, Edge: &made.Edge,
	}, d)
}

func TestADocumentOfALargeImageIsReadAgain(t *testing.T) {
	made := Made{Name: "large", Edge: Edge{Digest: "sha256:00", Components: map[string][]string{}}}
	for i := range 9_000 {
		name := fmt.Sprintf("lib%d-%s", i, strings.Repeat("x", 40))
		made.Edge.Components[name] = []string{name + "-0:1.2.3~git20240101-4+deb12u1.amd64"}
	}
	text, err := Write(&made)
	require.NoError(t, err)
	_, err = Parse(text)
	require.ErrorIs(t, err, ErrTooLarge)
	d, err := ParseOwn(text)
	require.NoError(t, err)
	require.Equal(t, &made.Edge, d.Edge)
}

func FuzzParse(f *testing.F) {
	f.Add(platform)
	f.Add(second)
	f.Add("document: modulemd\nversion: 2\ndata: &a\n  dependencies: [*a, {requires: {x: *a}}]\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = Parse(text) })
}
