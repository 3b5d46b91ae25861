package bench

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/contrib/imagetar/archive"
	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/tests/device"
)

// uploadSize is what is uploaded: a Redis module whose library does not shrink.
const uploadSize = 1 << 30

// BenchmarkUpload is a package of a GiB over the socket, against a bare server that reads
// the same body by the standard library alone, hashes it and writes it to a file on the
// same disk. edged has it on the disk for good when it answers, and has looked at all of it
// once more; the bare server has neither done.
func BenchmarkUpload(b *testing.B) {
	d := newDevice(b, "")
	file := rampFile(b, uploadSize)
	bare := newBare(b, `{"modules":[`+d.Host("GET", onePath, "").Body+`]}`)
	var edged, floor, risen []float64
	toEdged := func() {
		warm(b, file)
		before := mib(b, d.Edged.PID(), "status", "VmRSS")
		resetPeak(b, d.Edged.PID())
		took, uid := upload(b, d.Management(), "/v1/modules", file)
		edged = append(edged, uploadSize/took.Seconds()/1e6)
		risen = append(risen, mib(b, d.Edged.PID(), "status", "VmHWM")-before)
		a := d.Host(http.MethodDelete, "/v1/modules/"+uid, "")
		require.Equal(b, http.StatusOK, a.Status, a.Body)
	}
	toBare := func() {
		warm(b, file)
		took, _ := upload(b, bare.socket, uploadBare, file)
		floor = append(floor, uploadSize/took.Seconds()/1e6)
	}
	rounds(b, 3, func() {
		for _, f := range []func(){toEdged, toBare, toBare, toEdged} {
			f()
		}
	})
	figure(b, "MB/s", median(edged))
	figure(b, "bare-MB/s", median(floor))
	atLeast(b, "ratio-vs-bare", median(edged)/median(floor), 0.9)
	atMost(b, "rise-MiB", sorted(risen)[len(risen)-1], 16)
}

// BenchmarkUploadImage is an archive with a layer of 512 MiB that does not shrink, which
// edged imports into containerd before it answers: its memory must not grow with it.
func BenchmarkUploadImage(b *testing.B) {
	d := newDevice(b, "")
	const size = 512 << 20
	body := make([]byte, size)
	_, err := rand.NewChaCha8([32]byte{1}).Read(body)
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), "image.tar")
	f, err := os.Create(file)
	require.NoError(b, err)
	require.NoError(b, archive.Write(f, archive.Image{
		Ref: "registry.example/big:1", Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}, Layers: []archive.Layer{{"/data": {Body: body}}},
	}))
	require.NoError(b, f.Close())
	var rates, risen []float64
	rounds(b, 3, func() {
		warm(b, file)
		before := mib(b, d.Edged.PID(), "status", "VmRSS")
		resetPeak(b, d.Edged.PID())
		took, uid := upload(b, d.Management(), "/v1/modules", file)
		rates = append(rates, size/took.Seconds()/1e6)
		risen = append(risen, mib(b, d.Edged.PID(), "status", "VmHWM")-before)
		a := d.Host(http.MethodDelete, "/v1/modules/"+uid, "")
		require.Equal(b, http.StatusOK, a.Status, a.Body)
	})
	figure(b, "MB/s", median(rates))
	atMost(b, "rise-MiB", sorted(risen)[len(risen)-1], 16)
}

// warm writes as much and removes it again: memory that a virtual machine has not used for
// a while has to be had from its host first, which takes longer than all else here.
func warm(b *testing.B, file string) {
	b.Helper()
	in, err := os.Open(file)
	require.NoError(b, err)
	defer in.Close()
	out, err := os.Create(file + ".warm")
	require.NoError(b, err)
	_, err = io.CopyBuffer(onlyWriter{out}, in, make([]byte, 256<<10))
	require.NoError(b, err)
	require.NoError(b, out.Close())
	require.NoError(b, os.Remove(out.Name()))
}

// resetPeak makes the peak of a process's memory what it has now (proc_pid_clear_refs(5)).
func resetPeak(b *testing.B, pid int) {
	b.Helper()
	require.NoError(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0))
}

// rampFile is a package in a file.
func rampFile(b *testing.B, size int64) string {
	b.Helper()
	library := func() io.Reader {
		return io.MultiReader(bytes.NewReader(packtest.Library(64)), io.LimitReader(rand.NewChaCha8([32]byte{1}), size-64))
	}
	sum := sha256.New()
	_, err := io.Copy(sum, library())
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), "module.zip")
	f, err := os.Create(file)
	require.NoError(b, err)
	defer f.Close()
	w := zip.NewWriter(f)
	for _, part := range []struct {
		name string
		body io.Reader
	}{
		{"module.json", bytes.NewReader(packtest.RAMP{Fields: map[string]any{"sha256": hex.EncodeToString(sum.Sum(nil))}}.Metadata())}, {"module.so", library()},
	} {
		to, err := w.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Store})
		require.NoError(b, err)
		_, err = io.Copy(to, part.body)
		require.NoError(b, err)
	}
	require.NoError(b, w.Close())
	return file
}

// upload sends a file as the part "module", and returns the time to the answer.
func upload(b *testing.B, socket, path, file string) (time.Duration, string) {
	b.Helper()
	f, err := os.Open(file)
	require.NoError(b, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(b, err)
	var head bytes.Buffer
	w := multipart.NewWriter(&head)
	_, err = w.CreateFormFile("module", "module.zip")
	require.NoError(b, err)
	tail := "\r\n--" + w.Boundary() + "--\r\n"
	req, err := http.NewRequest(http.MethodPost, "http://edged"+path, io.MultiReader(&head, f, strings.NewReader(tail)))
	require.NoError(b, err)
	req.ContentLength = int64(head.Len()) + info.Size() + int64(len(tail))
	req.Header.Set("Content-Type", w.FormDataContentType())
	began := time.Now()
	res, err := device.UnixClient(socket).Do(req)
	require.NoError(b, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	took := time.Since(began)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, res.StatusCode, string(answer))
	_, uid, _ := strings.Cut(string(answer), `"uid":"`)
	return took, uid[:min(32, len(uid))]
}

// bareUpload is what the standard library's own means take.
func bareUpload(folder string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		parts, err := r.MultipartReader()
		fatal(err)
		part, err := parts.NextPart()
		fatal(err)
		f, err := os.Create(filepath.Join(folder, "upload"))
		fatal(err)
		defer os.Remove(f.Name())
		sum := sha256.New()
		_, err = io.Copy(io.MultiWriter(f, sum), part)
		fatal(err)
		fatal(f.Close())
		answer(w, fmt.Appendf(nil, `{"sha256":"%x"}`, sum.Sum(nil)))
	}
}

// BenchmarkPackages is GET /v1/modules with 1,000 packages, by a host user on a kept
// connection, beside a bare server that has the same bytes ready.
func BenchmarkPackages(b *testing.B) {
	d := newDevice(b, "")
	for i := range 1000 {
		p := packtest.RAMP{Fields: map[string]any{"module_name": fmt.Sprintf("module-%d", i)}}
		file := filepath.Join(b.TempDir(), "module.zip")
		require.NoError(b, os.WriteFile(file, p.Bytes(), 0o600))
		upload(b, d.Management(), "/v1/modules", file)
	}
	list := d.Host(http.MethodGet, "/v1/modules", "").Body
	require.Equal(b, 1000, strings.Count(list, `"uid":`))
	bare := newBare(b, `{"modules":[`+d.Host("GET", onePath, "").Body+`],"packages":`+list+`}`)
	edged, floor := newTarget(b, d.Management(), "/v1/modules"), newTarget(b, bare.socket, readyList)
	var took [2][]time.Duration
	rounds(b, 5, func() {
		for i, t := range byTurns(b, 100, edged, floor) {
			took[i] = append(took[i], t...)
		}
	})
	figure(b, "KiB", float64(len(list))/1024)
	figure(b, "bare-p50-ms", ms(median(took[1])))
	atMost(b, "p50-ms", ms(median(took[0])), 5)
}
