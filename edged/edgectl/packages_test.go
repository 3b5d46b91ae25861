package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack/packtest"
)

func aPackage(name, version, image string) wire.PackageModule {
	return wire.PackageModule{
		UID: packtest.SHA256([]byte(name + version))[:32], ModuleName: name, SemanticVersion: version,
		Edged: wire.PackageFacts{Created: before(time.Hour), Format: "ramp", Image: image, Size: 3 << 20},
	}
}

// packageServer answers for edged: what it has, what is pushed, what is asked.
type packageServer struct {
	*http.ServeMux
	have   []wire.PackageModule
	pushed []string // file names and signatures
	asked  []string
}

func newPackageServer(t *testing.T, have ...wire.PackageModule) *packageServer {
	t.Helper()
	s := &packageServer{ServeMux: http.NewServeMux(), have: have}
	answer := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(w http.ResponseWriter, status int, code, text string) {
		answer(w, status, wire.PackageError{ErrorCode: code, Message: text, Description: text})
	}
	s.HandleFunc("GET /v1/modules", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, s.have) })
	s.HandleFunc("GET /v1/modules/{uid}", func(w http.ResponseWriter, r *http.Request) {
		for _, p := range s.have {
			if p.UID == r.PathValue("uid") {
				answer(w, 200, p)
				return
			}
		}
		refuse(w, 404, "module_not_found", "there is no package")
	})
	s.HandleFunc("DELETE /v2/modules/{uid}", func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, "rm "+r.PathValue("uid"))
		if r.PathValue("uid") == s.have[0].UID {
			refuse(w, 406, "module_in_use", "it is in use by m")
			return
		}
		answer(w, 200, wire.PackageRemoved{ActionUID: "done"})
	})
	s.HandleFunc("GET /v1/actions/{uid}", func(w http.ResponseWriter, r *http.Request) {
		a := wire.PackageAction{ActionUID: r.PathValue("uid"), Status: "completed"}
		if r.PathValue("uid") == "bad" {
			a.Status, a.ErrorCode, a.ErrorMessage = "failed", "dependency_not_found", "cannot get dependency d"
		}
		answer(w, 200, a)
	})
	s.HandleFunc("POST /v2/modules", func(w http.ResponseWriter, r *http.Request) {
		f, header, err := r.FormFile("module")
		if err != nil || r.Header.Get("Expect") != "100-continue" {
			refuse(w, 400, "no_module", fmt.Sprint("not as edged is asked: ", err))
			return
		}
		b, err := io.ReadAll(f)
		if err != nil || int64(len(b)) != header.Size {
			refuse(w, 400, "no_module", fmt.Sprint("cut off: ", err))
			return
		}
		signature := ""
		if f, _, err := r.FormFile("module.minisig"); err == nil {
			b, _ := io.ReadAll(f)
			signature = " signed " + string(b)
		}
		s.pushed = append(s.pushed, header.Filename+signature)
		switch name := header.Filename; {
		case strings.HasPrefix(name, "there"):
			refuse(w, 400, "module_exists", "x 1 is on this device already")
		case strings.HasPrefix(name, "large"):
			refuse(w, 413, "module_too_large", "the package is larger")
		default:
			p := aPackage(name, "1.0.0", "edged.local/ramp/"+name)
			s.have = append(s.have, p)
			action := "good"
			if strings.HasPrefix(name, "bad") {
				action = "bad"
			}
			answer(w, 200, wire.PackageAdded{ActionUID: action, PackageModule: p})
		}
	})
	return s
}

func TestPackagesAreListedAndFound(t *testing.T) {
	one, two := aPackage("ft", "1.2.2", "edged.local/ramp/ft:1.2.2"), aPackage("docker.io/library/app", "2", "docker.io/library/app:2")
	two.Edged.Format, two.Edged.ImagePending, two.Edged.SignedBy = "image", "containerd is away", "ABCDEF0123456789"
	d := newDevice(t, newPackageServer(t, one, two, aPackage("ft", "1.3.0", "")))
	got := d.run("package", "ls")
	require.Zero(t, got.code, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, []string{one.UID[:12], "ft", "1.2.2", "ramp", "3MiB", "edged.local/ramp/ft:1.2.2", "-", "about", "an", "hour", "ago"}, strings.Fields(lines[1]))
	require.Contains(t, lines[2], "docker.io/library/app:2 (pending)")
	require.Contains(t, lines[2], "ABCDEF0123456789")
	require.Equal(t, one.UID+"\n"+two.UID+"\n", strings.Join(strings.SplitAfter(d.run("package", "list", "-q").out, "\n")[:2], ""))
	require.Equal(t, "ft ramp\n", strings.SplitAfter(d.run("package", "list", "--format", "{{.ModuleName}} {{.Edged.Format}}").out, "\n")[0])
	var all []wire.PackageModule
	require.NoError(t, json.Unmarshal([]byte(d.run("package", "list", "--format", "json").out), &all))
	require.Len(t, all, 3)
	require.Equal(t, exitUsage, d.run("package", "list", "--format", "xml").code)

	for _, name := range []string{one.UID, one.UID[:8], "ft:1.2.2", "edged.local/ramp/ft:1.2.2"} {
		require.Equal(t, result{0, one.UID + "\n", ""}, d.run("package", "inspect", "--format", "{{.UID}}", name), name)
	}
	require.Equal(t, exitUsage, d.run("package", "inspect", "ft").code, "two are called so")
	got = d.run("package", "inspect", "none", "docker.io/library/app")
	require.Equal(t, exitNotFound, got.code)
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	require.Len(t, all, 1)
	require.Equal(t, exitUsage, d.run("package", "rm").code)
	require.Equal(t, "[]\n", newDevice(t, newPackageServer(t)).run("package", "list", "--format", "json").out)
}

func TestPackagesAreRemovedOneAfterTheOther(t *testing.T) {
	used, free := aPackage("used", "1", ""), aPackage("free", "1", "")
	s := newPackageServer(t, used, free)
	got := newDevice(t, s).run("package", "rm", "used", "none", "free")
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, free.UID+"\n", got.out)
	require.Contains(t, got.err, "used: it is in use by m")
	require.Contains(t, got.err, "none: there is no such package")
	require.Equal(t, []string{"rm " + used.UID, "rm " + free.UID}, s.asked)
}

func TestAFolderIsPushed(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	for _, name := range []string{"b.zip", "a.tar.gz", "there.tar", "bad.tgz", "large.TAR.ZST", "README"} {
		put(name, name)
	}
	put("a.tar.gz.minisig", "signature")
	s := newPackageServer(t)
	got := newDevice(t, s).run("package", "push", folder)
	require.Equal(t, exitFailed, got.code)
	require.Equal(t, []string{"a.tar.gz signed signature", "b.zip", "bad.tgz", "large.TAR.ZST", "there.tar"}, s.pushed)
	require.Equal(t, []string{"a.tar.gz", "b.zip"}, []string{strings.Fields(got.out)[1], strings.Fields(got.out)[5]})
	require.Contains(t, got.err, "bad.tgz: cannot get dependency d")
	require.Contains(t, got.err, "there.tar: x 1 is on this device already")
	require.NotContains(t, got.err, "%", "there is no bar where there is no terminal")
	got = newDevice(t, newPackageServer(t)).run("package", "push", "--skip-existing", filepath.Join(folder, "there.tar"), filepath.Join(folder, "b.zip"))
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.err, "passed over")
	require.Equal(t, exitUsage, newDevice(t, s).run("package", "push", "--signature", "x", folder).code)
	require.Equal(t, exitUsage, newDevice(t, s).run("package", "push").code)
	require.Equal(t, exitFailed, newDevice(t, s).run("package", "push", t.TempDir()).code, "an empty folder")
	require.Equal(t, exitFailed, newDevice(t, s).run("package", "push", filepath.Join(folder, "none.zip")).code)
	require.Equal(t, exitUnreachable, (&device{path: "/nonexistent/s"}).run("package", "push", filepath.Join(folder, "b.zip")).code)
}

func TestRefusalsOfPackagesHaveExitCodes(t *testing.T) {
	d := newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error_code":"forbidden","message":"forbidden","description":"forbidden"}`)
	}))
	file := filepath.Join(t.TempDir(), "a.zip")
	require.NoError(t, os.WriteFile(file, make([]byte, 10<<20), 0o600))
	for _, args := range [][]string{{"package", "list"}, {"package", "push", file}, {"package", "rm", "x"}} {
		got := d.run(args...)
		require.Equal(t, exitForbidden, got.code, "%v: %s", args, got.err)
		require.Contains(t, got.err, "update_cluster")
	}
}

func TestABarIsDrawnOnATerminal(t *testing.T) {
	var out strings.Builder
	at := now
	a := &app{err: &out, errTerminal: true, now: func() time.Time { return at }}
	b := a.bar("a\x1b.zip", 1<<20)
	at = at.Add(2 * time.Second)
	b.show(1 << 19)
	require.Contains(t, out.String(), `a\x1b.zip [===============               ]  50% of 1MiB, 256KiB/s`)
	shown := out.Len()
	b.show(1<<19 + 1)
	require.Equal(t, shown, out.Len(), "not more often than somebody can read it")
	b.show(1 << 20)
	require.Contains(t, out.String(), "sent")
	b.end()
	require.True(t, strings.HasSuffix(out.String(), "\r\x1b[K"))
}

func TestVerify(t *testing.T) {
	folder := t.TempDir()
	signer := packtest.NewSigner()
	put := func(name string, text []byte, mode os.FileMode) string {
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, text, 0o600))
		require.NoError(t, os.Chmod(file, mode))
		return file
	}
	key := put("k.pub", signer.Public, 0o644)
	sound, wrong, bare := put("a.zip", []byte("a"), 0o644), put("b.zip", []byte("b"), 0o644), put("c.zip", []byte("c"), 0o644)
	put("a.zip.minisig", signer.Sign([]byte("a"), "counter:7"), 0o644)
	elsewhere := put("sig", signer.Sign([]byte("b"), "hand made"), 0o644)
	put("b.zip.minisig", signer.Sign([]byte("other"), "counter:7"), 0o644)
	d := &device{path: "/nonexistent/s"} // nobody is asked
	got := d.run("verify", "--key", key, sound)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "number 7 (counter:7)")
	require.Equal(t, got, d.run("verify", "--trust-dir", folder, sound))
	got = d.run("verify", "--key", key, wrong, sound, bare)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.err, "b.zip: its signature is wrong")
	require.Contains(t, got.err, "c.zip: it is not signed")
	require.Contains(t, got.out, "a.zip: signed by")
	require.Contains(t, d.run("verify", "--key", key, "--signature", elsewhere, wrong).out, "no number")
	require.Equal(t, exitFailed, d.run("verify", "--trust-dir", t.TempDir(), sound).code, "nobody is trusted")
	require.Equal(t, exitFailed, d.run("verify", "--key", put("w.pub", signer.Public, 0o666), sound).code, "anybody's key")
	require.Equal(t, exitUsage, d.run("verify").code)
	require.Equal(t, exitUsage, d.run("verify", "--signature", elsewhere, sound, wrong).code)
}
