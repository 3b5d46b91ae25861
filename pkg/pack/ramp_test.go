package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
)

// roomy is more than any package here needs that is sound, and what bombs outgrow.
var roomy = Limits{Unpacked: 3 << 19}

func openBytes(b []byte) (*RAMP, error) {
	return OpenRAMP(bytes.NewReader(b), int64(len(b)), roomy)
}

func TestASoundPackageIsReadWhole(t *testing.T) {
	b := packtest.RAMP{Library: packtest.Library(100_000)}.Bytes()
	p, err := openBytes(b)
	require.NoError(t, err)
	require.Equal(t, "x", p.Name)
	require.EqualValues(t, 10203, p.Version)
	require.Equal(t, []string{"types", "replica_of", "types"}, p.Capabilities, "in their order, and twice what is twice")
	require.Equal(t, packtest.SHA256(packtest.Library(100_000)), p.SHA256)
	require.EqualValues(t, 100_000, p.LibrarySize)
	require.Empty(t, p.Dependencies)
	require.JSONEq(t, "{}", string(p.CRDB))
}

func TestVersionsComeAsPackersWriteThem(t *testing.T) {
	for _, tc := range []struct {
		version  any
		semantic any
		want     int64
		text     string
	}{
		{10200.0, nil, 10200, "1.2.0"},
		{"1.0", nil, 1, "0.0.1"},
		{"10200.7", "1.2.0", 10200, "1.2.0"},
		{99999, "9.99.99-rc1", 99999, "9.99.99-rc1"},
	} {
		p, err := openBytes(packtest.RAMP{Fields: map[string]any{"version": tc.version, "semantic_version": tc.semantic}}.Bytes())
		require.NoError(t, err, "%v", tc.version)
		require.Equal(t, tc.want, p.Version)
		require.Equal(t, tc.text, p.SemanticVersion)
	}
	// The packer writes a float even where Go would write 1.02e4.
	b := bytes.Replace(packtest.RAMP{}.Metadata(), []byte(`"version": 10203`), []byte(`"version": 10200.0`), 1)
	p, err := openBytes(packtest.RAMP{Files: map[string][]byte{"module.json": b}}.Bytes())
	require.NoError(t, err)
	require.EqualValues(t, 10200, p.Version)
}

func TestSemanticVersionsHaveANumber(t *testing.T) {
	for text, want := range map[string]int64{
		"1.2.3": 10203, "v10.0.12": 100012, "1.36.1-musl": 13601, "1.2": 0, "latest": 0, "": 0, "1.100.0": 0, "2.0.0+build": 20000, "1.2.3x": 0,
	} {
		require.Equal(t, want, Version(text), text)
	}
	for _, tc := range []struct {
		a, b string
		want int
		ok   bool
	}{{"7.2", "7.10", -1, true}, {"7.2.0", "7.2", 0, true}, {"8", "7.9.9", 1, true}, {"x", "7", 0, false}, {"7..2", "7", 0, false}, {"", "7", 0, false}} {
		got, ok := CompareVersions(tc.a, tc.b)
		require.Equal(t, tc.want, got, "%s and %s", tc.a, tc.b)
		require.Equal(t, tc.ok, ok)
	}
}

func TestPackagesThatAreNotSound(t *testing.T) {
	header := func(name string) *zip.FileHeader { return &zip.FileHeader{Name: name, Method: zip.Store} }
	link := header("module.so")
	link.SetMode(os.ModeSymlink | 0o777)
	encrypted := packtest.RAMP{Store: true}.Bytes()
	for _, signature := range []string{"PK\x01\x02", "PK\x03\x04"} {
		at := 8 // of the flags in the directory
		if signature == "PK\x03\x04" {
			at = 6
		}
		for i := 0; ; {
			j := bytes.Index(encrypted[i:], []byte(signature))
			if j < 0 {
				break
			}
			encrypted[i+j+at] |= 1
			i += j + 4
		}
	}
	sound := packtest.RAMP{}
	corrupt := packtest.RAMP{Store: true, Library: packtest.Library(5000)}.Bytes()
	corrupt[bytes.Index(corrupt, []byte("\x7fELF"))+1000] ^= 1
	wide := sound
	wide.Files = map[string][]byte{}
	for i := range 100 {
		wide.Files["deps/"+strings.Repeat("d", i+1)+".tgz"] = []byte("x")
	}
	manyNames := make([]*zip.FileHeader, 20_000)
	bodies := make([][]byte, len(manyNames))
	for i := range manyNames {
		manyNames[i] = header("deps/x.tgz")
	}
	field := func(name string, value any) []byte {
		return packtest.RAMP{Fields: map[string]any{name: value}}.Bytes()
	}
	for name, tc := range map[string]struct {
		bytes []byte
		says  string
	}{
		"no zip":                        {[]byte("PK\x03\x04 and no more"), "zip archive"},
		"cut off":                       {sound.Bytes()[:200], "zip archive"},
		"no module.json":                {packtest.RAMP{Files: map[string][]byte{"module.json": nil}}.Bytes(), "module.json"},
		"module.json is no JSON":        {packtest.RAMP{Files: map[string][]byte{"module.json": []byte("{")}}.Bytes(), "module.json"},
		"module.json is too large":      {packtest.RAMP{Files: map[string][]byte{"module.json": bytes.Repeat([]byte(" "), 2<<20)}}.Bytes(), "larger"},
		"module_file is not there":      {field("module_file", "other.so"), "belong"},
		"module_file is a path":         {field("module_file", "../module.so"), "plain name"},
		"module_file is missing":        {field("module_file", nil), "missing"},
		"module_name is missing":        {field("module_name", ""), "missing"},
		"module_name is a path":         {field("module_name", "a/b"), "module_name"},
		"module_name is dots":           {field("module_name", ".."), "module_name"},
		"module_name has a newline":     {field("module_name", "a\nb"), "control"},
		"version is missing":            {field("version", nil), "missing"},
		"version is no number":          {field("version", "one"), "version"},
		"version is nothing":            {field("version", 0), "version"},
		"version is below nothing":      {field("version", -1), "version"},
		"version is not finite":         {field("version", "inf"), "version"},
		"version is huge":               {field("version", "1e300"), "version"},
		"version is a list":             {field("version", []int{1}), "neither a text nor a number"},
		"sha256 is another's":           {field("sha256", strings.Repeat("0", 64)), "sha256"},
		"sha256 is none":                {field("sha256", "abc"), "sha256"},
		"architecture is missing":       {field("architecture", nil), "architecture"},
		"architecture is another's":     {field("architecture", "s390x"), "built for"},
		"min version is none":           {field("min_redis_version", "seven"), "min_redis_version"},
		"arguments with a newline":      {field("command_line_args", "A\nrequirepass x"), "control"},
		"arguments with an open quote":  {field("command_line_args", `A "b`), "quote"},
		"no ELF":                        {packtest.RAMP{Library: []byte("#!/bin/sh\nexit 0\n# long enough to have a header")}.Bytes(), "ELF"},
		"an empty library":              {packtest.RAMP{Library: []byte{}}.Bytes(), "ELF"},
		"a program":                     {packtest.RAMP{Library: append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"), make([]byte, 50)...)}.Bytes(), "shared object"},
		"a machine nobody knows":        {packtest.RAMP{Library: append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\xff\xff"), make([]byte, 50)...)}.Bytes(), "machine"},
		"two libraries":                 {packtest.RAMP{Files: map[string][]byte{"other.so": packtest.Library(64)}}.Bytes(), "other.so"},
		"something else":                {packtest.RAMP{Files: map[string][]byte{"README": []byte("x")}}.Bytes(), "README"},
		"a file in a folder":            {packtest.RAMP{Files: map[string][]byte{"deps/a/b.tgz": []byte("x")}}.Bytes(), "deps/a/b.tgz"},
		"zip-slip":                      {packtest.RAMP{Files: map[string][]byte{"../../etc/passwd": []byte("x")}}.Bytes(), "leaves its folder"},
		"zip-slip in deps":              {packtest.RAMP{Files: map[string][]byte{"deps/../../x.tgz": []byte("x")}}.Bytes(), "leaves its folder"},
		"an absolute name":              {packtest.RAMP{Files: map[string][]byte{"/etc/passwd": []byte("x")}}.Bytes(), "absolute"},
		"a name with a backslash":       {packtest.RAMP{Files: map[string][]byte{`deps\..\x`: []byte("x")}}.Bytes(), "name"},
		"a name with a control":         {packtest.RAMP{Files: map[string][]byte{"a\x1b[2J": []byte("x")}}.Bytes(), "name"},
		"a symbolic link":               {packtest.Zip([]*zip.FileHeader{header("module.json"), link}, sound.Metadata(), []byte("/etc/shadow")), "no plain file"},
		"an encrypted file":             {encrypted, "encrypted"},
		"a name twice":                  {packtest.Zip([]*zip.FileHeader{header("module.json"), header("module.so"), header("module.so")}, sound.Metadata(), packtest.Library(64), packtest.Library(64)), "twice"},
		"a name twice, once with a dot": {packtest.Zip([]*zip.FileHeader{header("module.json"), header("module.so"), header("./module.so")}, sound.Metadata(), packtest.Library(64), packtest.Library(64)), "twice"},
		"a checksum is wrong":           {corrupt, "module.so"},
		"too many files":                {wide.Bytes(), "files"},
		"a directory of megabytes":      {packtest.Zip(manyNames, bodies...), "directory is too large"},
		"a bomb":                        {packtest.RAMP{Library: packtest.Library(2 << 20)}.Bytes(), "unpacks to more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openBytes(tc.bytes)
			reason, ok := ReasonOf(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, Invalid, reason)
			require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestALimitHoldsWhateverTheDirectorySays(t *testing.T) {
	b := packtest.RAMP{Library: packtest.Library(1 << 20)}.Bytes()
	// The directory says that the library has 64 bytes: what comes out counts.
	at := bytes.LastIndex(b, []byte("PK\x01\x02"))
	require.Equal(t, "module.so", string(b[at+46:at+55]))
	copy(b[at+24:], []byte{64, 0, 0, 0})
	_, err := OpenRAMP(bytes.NewReader(b), int64(len(b)), Limits{Unpacked: 500 << 10})
	reason, _ := ReasonOf(err)
	require.Equal(t, Invalid, reason)
}

// brokenDisk fails behind its first bytes.
type brokenDisk struct {
	io.ReaderAt
	good int64
}

func (b brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < b.good {
		return 0, errors.New("input/output error")
	}
	return b.ReaderAt.ReadAt(p, off)
}

func TestABrokenDiskMakesNoPackageInvalid(t *testing.T) {
	b := packtest.RAMP{Library: packtest.Library(100_000), Store: true}.Bytes()
	_, err := OpenRAMP(brokenDisk{bytes.NewReader(b), 50_000}, int64(len(b)), roomy)
	require.ErrorContains(t, err, "input/output error")
	_, ok := ReasonOf(err)
	require.False(t, ok)
}

func dependency(name string) []byte {
	return packtest.Gzip(packtest.Tar(
		packtest.File{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}},
		packtest.File{Header: tar.Header{Name: name + "/tool", Mode: 0o4755}, Body: []byte("tool")},
		packtest.File{Header: tar.Header{Name: name + "/link", Typeflag: tar.TypeSymlink, Linkname: "tool"}},
	))
}

func TestDependencies(t *testing.T) {
	dep := dependency("python")
	declare := func(name, url, sum string) map[string]any {
		return map[string]any{"dependencies": map[string]any{name: map[string]any{"url": url, "sha256": sum}}}
	}
	p, err := openBytes(packtest.RAMP{Fields: declare("python", "", packtest.SHA256(dep)), Files: map[string][]byte{"deps/python.tgz": dep}}.Bytes())
	require.NoError(t, err)
	require.True(t, p.Embedded("python"))
	list := []map[string]string{{"name": "b", "url": "https://h.example/b.tgz", "sha256": strings.Repeat("B", 64)}, {"name": "a", "url": "https://h.example/a.tgz", "sha256": strings.Repeat("a", 64)}}
	p, err = openBytes(packtest.RAMP{Fields: map[string]any{"dependencies": list}}.Bytes())
	require.NoError(t, err)
	require.Equal(t, []Dependency{{"a", "https://h.example/a.tgz", strings.Repeat("a", 64)}, {"b", "https://h.example/b.tgz", strings.Repeat("b", 64)}}, p.Dependencies)
	require.False(t, p.Embedded("a"))
	p, err = openBytes(packtest.RAMP{Fields: map[string]any{"dependencies": []string{}}}.Bytes())
	require.NoError(t, err)
	require.Empty(t, p.Dependencies)

	outside := packtest.Gzip(packtest.Tar(packtest.File{Header: tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc"}}))
	device := packtest.Gzip(packtest.Tar(packtest.File{Header: tar.Header{Name: "sda", Typeflag: tar.TypeBlock}}))
	slip := packtest.Gzip(packtest.Tar(packtest.Plain("../x", []byte("x"))))
	for name, tc := range map[string]struct {
		fields map[string]any
		files  map[string][]byte
		reason Reason
	}{
		"not an object":           {map[string]any{"dependencies": "python"}, nil, Dependencies},
		"an entry is a number":    {map[string]any{"dependencies": map[string]any{"a": 1}}, nil, Dependencies},
		"no digest":               {declare("a", "https://h.example/a", ""), nil, Dependencies},
		"a name that is a path":   {declare("../a", "https://h.example/a", strings.Repeat("a", 64)), nil, Dependencies},
		"neither here nor there":  {declare("a", "", strings.Repeat("a", 64)), nil, Dependencies},
		"here and not declared":   {nil, map[string][]byte{"deps/a.tgz": dep}, Dependencies},
		"another digest":          {declare("a", "", strings.Repeat("a", 64)), map[string][]byte{"deps/a.tgz": dep}, Dependencies},
		"twice in a list":         {map[string]any{"dependencies": append(list, list...)}, nil, Dependencies},
		"no archive":              {declare("a", "", packtest.SHA256([]byte("text"))), map[string][]byte{"deps/a.tgz": []byte("text")}, Dependencies},
		"a link out of it":        {declare("a", "", packtest.SHA256(outside)), map[string][]byte{"deps/a.tgz": outside}, Dependencies},
		"a device in it":          {declare("a", "", packtest.SHA256(device)), map[string][]byte{"deps/a.tgz": device}, Dependencies},
		"a file that leaves it":   {declare("a", "", packtest.SHA256(slip)), map[string][]byte{"deps/a.tgz": slip}, Invalid},
		"not a .tgz by its name":  {nil, map[string][]byte{"deps/a.zip": dep}, Invalid},
		"a URL with a line break": {declare("a", "https://h.example/\n", strings.Repeat("a", 64)), nil, Dependencies},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openBytes(packtest.RAMP{Fields: tc.fields, Files: tc.files}.Bytes())
			reason, _ := ReasonOf(err)
			require.Equal(t, tc.reason, reason, "%v", err)
		})
	}
	d := Dependency{Name: "a", SHA256: packtest.SHA256(dep)}
	require.NoError(t, CheckDependency(d, bytes.NewReader(dep), int64(len(dep)), roomy))
	bomb := packtest.Gzip(packtest.Tar(packtest.Plain("zeros", make([]byte, 80<<20))))
	d.SHA256 = packtest.SHA256(bomb)
	require.ErrorContains(t, CheckDependency(d, bytes.NewReader(bomb), int64(len(bomb)), roomy), "unpacks to more")
}

func TestALayerHasTheLibraryAndTheDependencies(t *testing.T) {
	dep := dependency("python")
	p, err := openBytes(packtest.RAMP{
		Fields: map[string]any{
			"command_line_args": ` PARTITIONS "two words" 'it"s' `,
			"dependencies":      map[string]any{"py": map[string]any{"sha256": packtest.SHA256(dep)}},
		},
		Files: map[string][]byte{"deps/py.tgz": dep}, Library: packtest.Library(1000),
	}.Bytes())
	require.NoError(t, err)
	command, err := p.Command()
	require.NoError(t, err)
	require.Equal(t, []string{"--loadmodule", "/usr/lib/redis/modules/module.so", "PARTITIONS", "two words", `it"s`}, command)
	write := func() []byte {
		var b bytes.Buffer
		require.NoError(t, p.WriteLayer(&b, func(d Dependency) (io.ReadCloser, error) { return p.Dependency(d.Name) }))
		return b.Bytes()
	}
	layer := write()
	require.Equal(t, layer, write(), "the same package gives the same bytes")
	files := tar.NewReader(bytes.NewReader(layer))
	got := map[string]int64{}
	for {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.Zero(t, h.Uid+h.Gid)
		got[h.Name] = h.Mode
	}
	const folder = "var/opt/redislabs/modules/x/10203/deps/py/python/"
	require.Equal(t, map[string]int64{
		"usr/lib/redis/modules/module.so": 0o755, folder: 0o755, folder + "tool": 0o755, folder + "link": 0o644,
	}, got)
}

func TestArguments(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, "  ": nil, "a  b\tc": {"a", "b", "c"}, `"-output f --level debug"`: {"-output f --level debug"},
		`a="b c"`: {"a=b c"}, `''`: {""}, `"\"\\"`: {`"\`}, `'\''`: {"'"},
	} {
		got, err := Arguments(line)
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{`"`, `'a`, `"a"b`} {
		_, err := Arguments(line)
		require.Error(t, err, line)
	}
}
