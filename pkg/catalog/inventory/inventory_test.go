package inventory

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/catalog"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Argument { // this binary stands for the daemon's
		if err := Serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the tests of inventory start a process of another user: run them as root")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		b, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	return b
}

// image is a root file system with some files.
func image(t *testing.T, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, body := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), body, 0o644))
	}
	return root
}

// shown are packages with their components.
func shown(packages []catalog.RPM) []string {
	var all []string
	for _, p := range packages {
		all = append(all, p.String()+" "+p.SRPMName+" "+p.SRPMNEVRA)
	}
	return all
}

var debian = []string{
	"apt-0:2.6.1-0.amd64.rpm apt apt-0:2.6.1-0.src",
	"base-files-0:12.4+deb12u11-0.amd64.rpm base-files base-files-0:12.4+deb12u11-0.src",
	"bash-0:5.2.15-2+b8.amd64.rpm bash bash-0:5.2.15-2.src",
	"libc6-0:2.36-9+deb12u14.amd64.rpm glibc glibc-0:2.36-9+deb12u14.src",
	"libssl3-0:3.0.19-1~deb12u2.amd64.rpm openssl openssl-0:3.0.19-1~deb12u2.src",
	"login-1:4.13+dfsg1-1+deb12u1.amd64.rpm shadow shadow-1:4.13+dfsg1-1+deb12u1.src",
	"openssl-0:3.0.19-1~deb12u2.amd64.rpm openssl openssl-0:3.0.19-1~deb12u2.src",
	"perl-base-0:5.36.0-7+deb12u2.amd64.rpm perl perl-0:5.36.0-7+deb12u2.src",
	"zlib1g-1:1.2.13.dfsg-1.amd64.rpm zlib zlib-1:1.2.13.dfsg-1.src",
}

var alpine = []string{
	".build-deps-0:20240126.153000-0.noarch.rpm .build-deps .build-deps-0:20240126.153000-0.src",
	"libcrypto3-0:3.1.4-r5.x86_64.rpm openssl openssl-0:3.1.4-r5.src",
	"libssl3-0:3.1.4-r5.x86_64.rpm openssl openssl-0:3.1.4-r5.src",
	"musl-0:1.2.4_git20230717-r4.x86_64.rpm musl musl-0:1.2.4_git20230717-r4.src",
}

var enterprise = []string{
	"bash-0:5.1.8-9.el9.noarch.rpm bash bash-0:5.1.8-9.el9.src",
	"openssl-1:3.0.7-27.el9.noarch.rpm openssl openssl-1:3.0.7-27.el9.src",
	"openssl-libs-1:3.0.7-27.el9.noarch.rpm openssl openssl-1:3.0.7-27.el9.src",
}

func TestPackagesOfRealDatabasesAreListed(t *testing.T) {
	sqlite, bdb := testdata(t, "rpmdb.sqlite.gz"), testdata(t, "Packages.bdb.gz")
	for name, c := range map[string]struct {
		files map[string][]byte
		want  []string
	}{
		"dpkg":             {map[string][]byte{"var/lib/dpkg/status": testdata(t, "dpkg-status")}, debian},
		"apk":              {map[string][]byte{"lib/apk/db/installed": testdata(t, "apk-installed")}, alpine},
		"apk 3":            {map[string][]byte{"usr/lib/apk/db/installed": testdata(t, "apk-installed")}, alpine},
		"rpm sqlite":       {map[string][]byte{"var/lib/rpm/rpmdb.sqlite": sqlite}, enterprise},
		"rpm bdb":          {map[string][]byte{"var/lib/rpm/Packages": bdb}, enterprise},
		"rpm ndb":          {map[string][]byte{"usr/lib/sysimage/rpm/Packages.db": ndbOf(t, headersOf(t, sqlite)...)}, enterprise},
		"rpm twice":        {map[string][]byte{"usr/lib/sysimage/rpm/rpmdb.sqlite": sqlite, "var/lib/rpm/Packages": bdb}, enterprise},
		"several managers": {map[string][]byte{"lib/apk/db/installed": testdata(t, "apk-installed"), "var/lib/rpm/rpmdb.sqlite": sqlite}, append(append([]string{}, alpine[:1]...), enterprise[0], enterprise[1], alpine[1], alpine[2], alpine[3], enterprise[2])},
		"no manager": {map[string][]byte{
			"var/lib/dpkg/status.d/base": []byte("Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"), "var/lib/dpkg/status.d/base.md5sums": []byte("x"),
		}, []string{"base-files-0:12.4-0.amd64.rpm base-files base-files-0:12.4-0.src"}},
		"nothing": {map[string][]byte{"bin/probe": []byte("x")}, nil},
	} {
		packages, err := Read(t.Context(), image(t, c.files))
		require.NoError(t, err, name)
		require.ElementsMatch(t, c.want, shown(packages), name)
	}
	packages, err := Read(t.Context(), image(t, map[string][]byte{"lib/apk/db/installed": testdata(t, "apk-installed")}))
	require.NoError(t, err)
	require.Equal(t, "b784a22cad0c452586b438cb7a597d846fc09ff4", packages[1].CommitHash)
	require.Equal(t, "libcrypto3-3.1.4-r5.x86_64.rpm", packages[1].Filename)
}

// TestADatabaseThatOnlyRootMayReadIsRead though the process that reads it is nobody.
func TestADatabaseThatOnlyRootMayReadIsRead(t *testing.T) {
	for name, file := range map[string]string{"rpmdb.sqlite": "rpmdb.sqlite.gz", "Packages": "Packages.bdb.gz"} {
		root := image(t, map[string][]byte{"var/lib/rpm/" + name: testdata(t, file)})
		require.NoError(t, os.Chmod(filepath.Join(root, "var/lib/rpm", name), 0o600))
		packages, err := Read(t.Context(), root)
		require.NoError(t, err)
		require.ElementsMatch(t, enterprise, shown(packages))
	}
}

// TestLinksLeadNowhereElse: what an image says lies in the image, and what is no file is not opened.
func TestLinksLeadNowhereElse(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "status")
	require.NoError(t, os.WriteFile(outside, testdata(t, "dpkg-status"), 0o644))
	for name, make := range map[string]func(t *testing.T, root, path string){
		"an absolute link": func(t *testing.T, _, path string) { require.NoError(t, os.Symlink(outside, path)) },
		"a relative link": func(t *testing.T, _, path string) {
			require.NoError(t, os.Symlink("../../../../../../../../../../.."+outside, path))
		},
		"a loop": func(t *testing.T, _, path string) { require.NoError(t, os.Symlink("status", path)) },
		"a FIFO": func(t *testing.T, _, path string) { require.NoError(t, unix.Mkfifo(path, 0o644)) },
		"a device": func(t *testing.T, _, path string) {
			require.NoError(t, unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
		},
		"a socket": func(t *testing.T, _, path string) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			require.NoError(t, err)
			defer unix.Close(fd)
			require.NoError(t, os.Chdir(filepath.Dir(path)))
			require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: "status"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			wd, err := os.Getwd()
			require.NoError(t, err)
			defer func() { require.NoError(t, os.Chdir(wd)) }()
			root := image(t, map[string][]byte{"var/lib/dpkg/x": nil})
			make(t, root, filepath.Join(root, "var/lib/dpkg/status"))
			packages, err := Read(t.Context(), root)
			require.Empty(t, packages)
			if err != nil {
				require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
			}
		})
	}
	// A link that stays inside is one.
	root := image(t, map[string][]byte{"usr/lib/sysimage/rpm/rpmdb.sqlite": testdata(t, "rpmdb.sqlite.gz"), "var/lib/x": nil})
	require.NoError(t, os.Rename(filepath.Join(root, "usr/lib/sysimage/rpm"), filepath.Join(root, "rpm")))
	require.NoError(t, os.Symlink("/rpm", filepath.Join(root, "var/lib/rpm")))
	packages, err := Read(t.Context(), root)
	require.NoError(t, err)
	require.Len(t, packages, 3)
}

// TestWhatCannotBeReadIsAnErrorAndNoMore: a reader that is led into a loop, a crash or
// out of its memory ends, and the daemon goes on.
func TestWhatCannotBeReadIsAnErrorAndNoMore(t *testing.T) {
	headers := headersOf(t, testdata(t, "rpmdb.sqlite.gz"))
	loop := testdata(t, "Packages.bdb.gz")
	for at := 4096; at < len(loop); at += 4096 { // each page of a long value leads to the first
		if loop[at+25] == 7 {
			binary.LittleEndian.PutUint32(loop[at+16:], uint32(at/4096))
		}
	}
	huge := ndbOf(t, headers...)
	binary.LittleEndian.PutUint32(huge[4096+12:], 0xfffffff0)
	for name, files := range map[string]map[string][]byte{
		"no database":        {"var/lib/rpm/Packages": bytes.Repeat([]byte("x"), 8192)},
		"no SQLite":          {"var/lib/rpm/rpmdb.sqlite": append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{0xff}, 8192)...)},
		"a loop of pages":    {"var/lib/rpm/Packages": loop},
		"a length of 4 GiB":  {"var/lib/rpm/Packages.db": huge},
		"a header cut short": {"var/lib/rpm/Packages.db": ndbOf(t, headers[0][:len(headers[0])-100])},
		"one endless line":   {"var/lib/dpkg/status": bytes.Repeat([]byte("x"), 2<<20)},
	} {
		packages, err := Read(t.Context(), image(t, files))
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", name, err)
		require.Empty(t, packages, name)
	}
	root := image(t, map[string][]byte{"var/lib/dpkg/status": []byte("x")})
	require.NoError(t, os.Truncate(filepath.Join(root, "var/lib/dpkg/status"), maxText+1))
	_, err := Read(t.Context(), root)
	require.ErrorContains(t, err, "larger than")
	many := strings.Repeat("Package: p@\nVersion: 1\nArchitecture: all\n\n", maxPackages+1)
	var text strings.Builder
	for i := 0; strings.Contains(many, "@"); i++ {
		before, after, _ := strings.Cut(many, "@")
		fmt.Fprint(&text, before, i)
		many = after
	}
	text.WriteString(many)
	_, err = Read(t.Context(), image(t, map[string][]byte{"var/lib/dpkg/status": []byte(text.String())}))
	require.ErrorContains(t, err, "more than")
}

// TestWordsThatCannotBeNamesAreLeftOut and the others stay.
// TestAThreadThatEndsDoesNotEndTheReader: threads end that were in a module's network namespace,
// as when a module starts, which is when images are read.
func TestAThreadThatEndsDoesNotEndTheReader(t *testing.T) {
	status := append(bytes.Repeat([]byte("A: b\n"), 10<<20), "\nPackage: a\nVersion: 1\nArchitecture: all\n"...)
	root := image(t, map[string][]byte{"var/lib/dpkg/status": status})
	var threads sync.WaitGroup
	stop := make(chan struct{})
	threads.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			threads.Go(func() {
				runtime.LockOSThread() // and the thread ends
				time.Sleep(time.Millisecond)
			})
		}
	})
	packages, err := Read(t.Context(), root)
	close(stop)
	threads.Wait()
	require.NoError(t, err)
	require.Len(t, packages, 1)
}

func TestWordsThatCannotBeNamesAreLeftOut(t *testing.T) {
	status := "Package: good\nVersion: 1-2\nArchitecture: all\n\nPackage: bad name\nVersion: 1\nArchitecture: all\n\nPackage: " + strings.Repeat("x", 300) +
		"\nVersion: 1\nArchitecture: all\n\nPackage: esc\x1b[0m\nVersion: 1\nArchitecture: all\n\nPackage: noversion\nArchitecture: all\n\nPackage: epoch\nVersion: 99999999999999999999:1\nArchitecture: all\n"
	packages, err := Read(t.Context(), image(t, map[string][]byte{"var/lib/dpkg/status": []byte(status)}))
	require.NoError(t, err)
	require.Equal(t, []string{"epoch-0:99999999999999999999:1-0.all.rpm epoch epoch-0:99999999999999999999:1-0.src", "good-0:1-2.all.rpm good good-0:1-2.src"}, shown(packages))
}

// headersOf takes the headers out of rpm's own database.
func headersOf(t testing.TB, database []byte) [][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	require.NoError(t, os.WriteFile(file, database, 0o600))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var headers [][]byte
	require.NoError(t, readSQLite(f, func(blob []byte) error {
		headers = append(headers, bytes.Clone(blob))
		return nil
	}))
	require.Len(t, headers, 3)
	return headers
}

// ndbOf writes the format of rpm's backend ndb: a page of slots, then the blobs.
func ndbOf(t testing.TB, blobs ...[]byte) []byte {
	t.Helper()
	le := binary.LittleEndian
	page := make([]byte, 4096)
	copy(page, "RpmP")
	le.PutUint32(page[8:], 1)
	le.PutUint32(page[12:], 1) // pages of slots
	le.PutUint32(page[16:], uint32(len(blobs)+1))
	var body []byte
	for i := range 4096/16 - 2 {
		slot := page[32+16*i:]
		copy(slot, "Slot")
		if i >= len(blobs) {
			continue
		}
		blob := make([]byte, 16, 16+len(blobs[i])+32)
		copy(blob, "BlbS")
		le.PutUint32(blob[4:], uint32(i+1))
		le.PutUint32(blob[8:], 1)
		le.PutUint32(blob[12:], uint32(len(blobs[i])))
		blob = append(blob, blobs[i]...)
		for len(blob)%16 != 4 {
			blob = append(blob, 0)
		}
		tail := make([]byte, 12)
		le.PutUint32(tail, adler32.Checksum(blob))
		le.PutUint32(tail[4:], uint32(len(blobs[i])))
		copy(tail[8:], "BlbE")
		blob = append(blob, tail...)
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32((4096+len(body))/16))
		le.PutUint32(slot[12:], uint32(len(blob)/16))
		body = append(body, blob...)
	}
	return append(page, body...)
}

func nothing(catalog.RPM) error { return nil }

func FuzzDpkg(f *testing.F) {
	f.Add(testdata(f, "dpkg-status"))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = parseDpkg(bytes.NewReader(b), nothing) })
}

func FuzzAPK(f *testing.F) {
	f.Add(testdata(f, "apk-installed"))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = parseAPK(bytes.NewReader(b), nothing) })
}

func FuzzHeader(f *testing.F) {
	for _, h := range headersOf(f, testdata(f, "rpmdb.sqlite.gz")) {
		f.Add(h[:min(len(h), 4096)])
	}
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = parseHeader(b) })
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte(`{"Name":"a","Epoch":0,"Version":"1","Release":"1","Arch":"all","SRPMName":"a","SRPMNEVRA":"a-0:1-1.src"}` + "\n"))
	f.Add([]byte(`{"Error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		packages, err := collect(bytes.NewReader(b))
		if err == nil {
			for i := range packages {
				require.True(t, meant(&packages[i]))
			}
		}
	})
}

// TestTheReaderHasNoPrivileges looks at it while it is busy: it is nobody, can become
// nobody else, has a network of its own with nothing in it, and limits.
func TestTheReaderHasNoPrivileges(t *testing.T) {
	loop := testdata(t, "Packages.bdb.gz")
	for at := 4096; at < len(loop); at += 4096 {
		if loop[at+25] == 7 {
			binary.LittleEndian.PutUint32(loop[at+16:], uint32(at/4096))
		}
	}
	root := image(t, map[string][]byte{"var/lib/rpm/Packages": loop})
	done := make(chan error, 1)
	go func() {
		_, err := Read(t.Context(), root)
		done <- err
	}()
	own, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	for seen := false; !seen; {
		select {
		case err := <-done:
			require.Fail(t, "it was not seen", "%v", err)
		default:
		}
		dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, file := range dirs {
			b, _ := os.ReadFile(file)
			dir := filepath.Dir(file)
			status, _ := os.ReadFile(filepath.Join(dir, "status"))
			if !bytes.HasSuffix(b, []byte(Argument+"\x00")) || !bytes.Contains(status, []byte(fmt.Sprintf("PPid:\t%d\n", os.Getpid()))) || !bytes.Contains(status, []byte("NoNewPrivs:\t1\n")) {
				continue
			}
			limits, err := os.ReadFile(filepath.Join(dir, "limits"))
			if err != nil || !bytes.Contains(limits, []byte(fmt.Sprint(maxMemory))) {
				continue // it is still at it
			}
			net, err := os.Readlink(filepath.Join(dir, "ns/net"))
			if err != nil {
				continue
			}
			score, err := os.ReadFile(filepath.Join(dir, "oom_score_adj"))
			if err != nil || string(score) != "1000\n" {
				continue
			}
			seen = true
			for _, line := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapAmb:\t0000000000000000\n"} {
				require.Contains(t, string(status), line)
			}
			require.Regexp(t, `Groups:\s*\n`, string(status))
			require.NotEqual(t, own, net)
		}
	}
	require.True(t, errdefs.IsInvalidArgument(<-done))
}
