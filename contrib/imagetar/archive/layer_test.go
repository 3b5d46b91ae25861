package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLayerEntries(t *testing.T) {
	at := time.Unix(1_000_000_000, 0)
	packed, err := Layer{
		"/usr/bin/tool":  {Body: []byte("abc"), Mode: 0o755 | fs.ModeSetuid, UID: 7, GID: 8},
		"/etc/plain":     {Body: []byte("x")},
		"/etc/.wh.gone":  {},
		"/tmp":           {Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		"/srv":           {Mode: fs.ModeDir},
		"/usr/bin/alias": {Link: "tool"},
	}.pack(at, false)
	require.NoError(t, err)

	type entry struct {
		name, link string
		kind       byte
		mode       int64
		uid, gid   int
		body       string
	}
	var got []entry
	r := tar.NewReader(bytes.NewReader(packed.blob))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.True(t, at.Equal(h.ModTime), "%s has time %s", h.Name, h.ModTime)
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		got = append(got, entry{h.Name, h.Linkname, h.Typeflag, h.Mode, h.Uid, h.Gid, string(body)})
	}
	require.Equal(t, []entry{
		{name: "etc/", kind: tar.TypeDir, mode: 0o755},
		{name: "etc/.wh.gone", kind: tar.TypeReg, mode: 0o644},
		{name: "etc/plain", kind: tar.TypeReg, mode: 0o644, body: "x"},
		{name: "srv/", kind: tar.TypeDir, mode: 0o755},
		{name: "tmp/", kind: tar.TypeDir, mode: 0o1777},
		{name: "usr/", kind: tar.TypeDir, mode: 0o755},
		{name: "usr/bin/", kind: tar.TypeDir, mode: 0o755},
		{name: "usr/bin/alias", link: "tool", kind: tar.TypeSymlink, mode: 0o777},
		{name: "usr/bin/tool", kind: tar.TypeReg, mode: 0o4755, uid: 7, gid: 8, body: "abc"},
	}, got, "folders come before what is in them")
}
