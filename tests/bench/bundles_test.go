package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
	"github.com/edged/edged/tests/osgi"
)

const bundlesRoot = "/modules/api/bundles"

// bundleForm is an install of bundles.
func bundleForm(b *testing.B, start bool, bundles ...[]byte) (body []byte, kind string) {
	b.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	require.NoError(b, w.WriteField("start", strconv.FormatBool(start)))
	for _, bundle := range bundles {
		out, err := w.CreateFormFile("bundle", "b.jar")
		require.NoError(b, err)
		_, err = out.Write(bundle)
		require.NoError(b, err)
	}
	require.NoError(b, w.Close())
	return form.Bytes(), w.FormDataContentType()
}

func install(b *testing.B, client *http.Client, body []byte, kind string) {
	b.Helper()
	res, err := client.Post("http://localhost"+bundlesRoot, kind, bytes.NewReader(body))
	require.NoError(b, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, res.StatusCode, string(text))
}

// BenchmarkBundles is what is asked of bundles with the real framework: the information of 200
// that run, the install of one of a MiB, and the memory of a framework with one.
func BenchmarkBundles(b *testing.B) {
	d := device.New(b, device.Options{Binary: program("edged"), OSGi: true})
	client := device.UnixClient(d.Management())

	one, kind := bundleForm(b, true, osgi.Bundle(b, "one", "1.0.0", nil))
	install(b, client, one, kind)
	b.Run("memory", func(b *testing.B) {
		quiet(b)
		atMost(b, "MiB", float64(hostMemory(b, d))/(1<<20), 70)
		b.ReportMetric(0, "ns/op")
	})

	b.Run("install", func(b *testing.B) {
		// The framework's own time is that of the same update asked of it again, without bytes that come.
		var took, own []time.Duration
		for i := range 30 {
			big := make([]byte, 1<<20)
			_, _ = rand.Read(big)
			body, kind := bundleForm(b, false, osgi.Bundle(b, "big", "1.0."+strconv.Itoa(i), map[string][]byte{"big": big}))
			begun := time.Now()
			install(b, client, body, kind)
			took = append(took, time.Since(begun))
			begun = time.Now()
			res, err := client.Post("http://localhost"+bundlesRoot+"/big/1.0."+strconv.Itoa(i)+"/_update", "", nil)
			require.NoError(b, err)
			require.Equal(b, http.StatusOK, res.StatusCode)
			_ = res.Body.Close()
			own = append(own, time.Since(begun))
		}
		b.ReportMetric(ms(median(own)), "update-p50-ms")
		atMost(b, "p50-ms", ms(median(took)), 150)
		b.ReportMetric(0, "ns/op")
	})

	b.Run("info", func(b *testing.B) {
		var all [][]byte
		for i := range 170 {
			all = append(all, osgi.Bundle(b, fmt.Sprintf("small.%03d", i), "1.0.0", nil))
		}
		body, kind := bundleForm(b, true, all...)
		install(b, client, body, kind)
		a := d.Host(http.MethodGet, bundlesRoot+"/*/_localInfo", "")
		var told map[string]any
		require.NoError(b, json.Unmarshal([]byte(a.Body), &told))
		require.GreaterOrEqual(b, len(told), 200)
		target := newTarget(b, d.Management(), bundlesRoot+"/*/_localInfo")
		var took []time.Duration
		rounds(b, 5, func() { took = append(took, byTurns(b, 50, target)[0]...) })
		atMost(b, "p50-ms", ms(median(took)), 3)
	})
}

// hostMemory is what the kernel counts for the framework's process, in bytes.
func hostMemory(b *testing.B, d *device.Device) int64 {
	b.Helper()
	for _, line := range strings.Split(d.Ctr("task", "ls"), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.HasPrefix(f[0], "osgiHost-") {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", f[1], "status"))
		require.NoError(b, err)
		_, rest, ok := strings.Cut(string(status), "VmRSS:")
		require.True(b, ok)
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		require.NoError(b, err)
		return kib << 10
	}
	b.Fatal("there is no framework")
	return 0
}
