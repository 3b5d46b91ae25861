package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

func imagesDevice(t *testing.T, asked *[]string) *device {
	t.Helper()
	return newDevice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*asked = append(*asked, r.Method+" "+r.URL.Path+" "+string(b))
		_, _ = io.WriteString(w, map[string]string{
			"/images": `{"images":[{"name":"r.example/a:1","digest":"sha256:0123456789abcdef","size":3145728,"lastUsed":"` + before(48*time.Hour) + `","usedBy":["m","n"],"kept":"module"},
				{"name":"edged.local/b:1","digest":"x","size":1,"lastUsed":"\u001b[2J","usedBy":[],"kept":"local"}]}`,
			"/images/prune": `{"removed":[{"name":"r.example/a:1","digest":"d","bytes":7}],"bytes":1048576}`,
			"/images/pull": `{"status":"downloading"}` + "\n" + `{"status":"downloading","layer":"l","offset":1048576,"total":4194304}` + "\n" +
				`{"status":"unpacking"}` + "\n" + `{"status":"pulled","image":"docker.io/library/i:1","digest":"sha256:d"}` + "\n",
		}[r.URL.Path])
	}))
}

func TestImagesAreShownPulledAndPruned(t *testing.T) {
	var asked []string
	d := imagesDevice(t, &asked)
	require.Equal(t, result{0, "NAME              DIGEST         SIZE    LAST USE     USED BY   KEPT\n" +
		"r.example/a:1     0123456789ab   3MiB    2 days ago   m,n       \n" +
		"edged.local/b:1                  1B      \\x1b[2J                local\n", ""}, d.run("images"))
	require.Equal(t, "r.example/a:1 3145728 [m n]\nedged.local/b:1 1 []\n", d.run("images", "--format", "{{.Name}} {{.Size}} {{.UsedBy}}").out)
	require.Contains(t, d.run("images", "--format", "json").out, `"usedBy": [`)
	asked = nil
	require.Equal(t, result{0, "r.example/a:1\n", "removed 1 images, 1MiB won\n"}, d.run("images", "prune", "--all"))
	require.Equal(t, result{0, "docker.io/library/i:1 sha256:d\n", "downloading\nunpacking 1MiB of 4MiB (25%)\n"}, d.run("pull", "i:1"))
	require.Equal(t, result{0, "docker.io/library/i:1 sha256:d\n", ""}, d.run("pull", "-q", "i:1"))
	require.Equal(t, []string{`POST /images/prune {"all":true}`, `POST /images/pull {"image":"i:1"}`, `POST /images/pull {"image":"i:1"}`}, asked)
}

func TestPullsThatAreUsageErrors(t *testing.T) {
	var asked []string
	d := imagesDevice(t, &asked)
	for _, args := range [][]string{{"pull"}, {"pull", ""}, {"pull", "a", "b"}, {"pull", "--username", "u", "a"}, {"pull", "--password-stdin", "a"}, {"images", "x"}, {"images", "--format", "x"}} {
		require.Equal(t, exitUsage, d.run(args...).code, args)
	}
	require.Empty(t, asked)
}

func TestAPasswordIsOneLineOfStdin(t *testing.T) {
	for text, want := range map[string]string{"pass word\n": "pass word", "p\r\nmore": "p", "p": "p", "": "", "\n": ""} {
		got, err := readPassword(strings.NewReader(text))
		require.Equal(t, want, got)
		require.Equal(t, want == "", err != nil, text)
	}
}

func TestOnATerminalProgressIsOneLine(t *testing.T) {
	var errs bytes.Buffer
	at := now
	v := &pullView{app: &app{err: &errs, errTerminal: true, now: func() time.Time { return at }}}
	v.line(wire.PullStatus{Status: "downloading"})
	at = at.Add(2 * time.Second)
	v.line(wire.PullStatus{Status: "downloading", Layer: "l", Offset: 2 << 20, Total: 4 << 20})
	v.line(wire.PullStatus{Status: "downloading", Layer: "l", Offset: 3 << 20, Total: 4 << 20}) // too soon
	v.end()
	require.Equal(t, "\r\x1b[Kdownloading\r\x1b[Kdownloading 2MiB of 4MiB (50%), 1MiB/s\r\x1b[K", errs.String())
}
