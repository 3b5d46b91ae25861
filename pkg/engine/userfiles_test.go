package engine

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// imageWith is the root of an image whose /etc is made by put.
func imageWith(t *testing.T, put func(etc string) error) imageLook {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	require.NoError(t, put(filepath.Join(root, "etc")))
	return func(_ context.Context, do func(string) error) error { return do(root) }
}

// userOf is what a module runs as; a look that hangs fails the test.
func userOf(t *testing.T, who string, look imageLook) (specs.User, error) {
	t.Helper()
	o := new(options)
	o.User = who
	s := &oci.Spec{Process: &specs.Process{}}
	done := make(chan error, 1)
	go func() { done <- withUser(o, unpacked{users: new(sync.Map)}, look)(t.Context(), nil, nil, s) }()
	select {
	case err := <-done:
		return s.Process.User, err
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for what is in the image")
		return specs.User{}, nil
	}
}

func TestUserFilesThatAreNoFilesAreNeverOpened(t *testing.T) {
	for name, put := range map[string]func(p string) error{
		"a FIFO":        func(p string) error { return unix.Mkfifo(p, 0o666) },
		"a device node": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) }, // zero: it never ends
		"a folder":      func(p string) error { return os.Mkdir(p, 0o755) },
		"a link to a FIFO": func(p string) error {
			_ = unix.Mkfifo(filepath.Dir(p)+"/pipe", 0o666)
			return os.Symlink("/etc/pipe", p)
		},
		"a link to a device node": func(p string) error {
			_ = unix.Mknod(filepath.Dir(p)+"/zero", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
			return os.Symlink("../etc/zero", p)
		},
		"a file that is far too long": func(p string) error { _ = os.WriteFile(p, nil, 0o644); return os.Truncate(p, maxUserFile+1) },
	} {
		for _, file := range []string{"passwd", "group"} {
			look := imageWith(t, func(etc string) error { return put(filepath.Join(etc, file)) })
			for _, who := range []string{"", "1000", "app", "1:2"} {
				_, err := userOf(t, who, look)
				require.True(t, errdefs.IsInvalidArgument(err), "%s as %s for %q: %v", name, file, who, err)
				require.ErrorContains(t, err, "/etc/"+file+" in the image", name)
			}
			o := new(options)
			o.HostConfig.GroupAdd = []string{"extra"}
			err := withGroupAdd(o, unpacked{users: new(sync.Map)}, look)(t.Context(), nil, nil, &oci.Spec{Process: &specs.Process{}})
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
	}
}

func TestLinksOfUserFilesStayInTheImage(t *testing.T) {
	host := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(host, []byte("app:x:7:8::/:/bin/sh\n"), 0o644))
	_, err := userOf(t, "app", imageWith(t, func(etc string) error { return os.Symlink(host, etc+"/passwd") }))
	require.ErrorContains(t, err, `the image has no user "app"`)
	u, err := userOf(t, "app", imageWith(t, func(etc string) error {
		_ = os.WriteFile(etc+"/real", []byte("app:x:7:8::/:/bin/sh"), 0o644)
		return os.Symlink("/../../etc/real", etc+"/passwd")
	}))
	require.NoError(t, err)
	require.Equal(t, uint32(7), u.UID)
}

func TestUsersAreLookedUpAsDockerDoes(t *testing.T) {
	look := imageWith(t, func(etc string) error {
		_ = os.WriteFile(etc+"/passwd", []byte("root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\nodd:x:-1:5::/:\n# what nobody knows\n"), 0o644)
		return os.WriteFile(etc+"/group", []byte("root:x:0:\nadm:x:4:root,app\napp:x:8:app\ndialout:x:20:app\n"), 0o644)
	})
	for who, want := range map[string]specs.User{
		"":            {AdditionalGids: []uint32{0, 4}},
		"0":           {AdditionalGids: []uint32{0, 4}},
		"root":        {AdditionalGids: []uint32{0, 4}},
		"app":         {UID: 7, GID: 8, AdditionalGids: []uint32{8, 4, 20}},
		"7":           {UID: 7, GID: 8, AdditionalGids: []uint32{8, 4, 20}},
		"app:":        {UID: 7, AdditionalGids: []uint32{0, 4, 20}},
		"7:99":        {UID: 7, GID: 99, AdditionalGids: []uint32{99, 4, 20}},
		"app:dialout": {UID: 7, GID: 20, AdditionalGids: []uint32{20, 4}},
		"1000":        {UID: 1000, AdditionalGids: []uint32{0}},
		"1000:app":    {UID: 1000, GID: 8, AdditionalGids: []uint32{8}},
		":dialout":    {GID: 20, AdditionalGids: []uint32{20, 4}},
	} {
		u, err := userOf(t, who, look)
		require.NoError(t, err, who)
		require.Equal(t, want, u, who)
	}
	for _, who := range []string{"nobody", "odd", "app:nobody", "-1", "99999999999999999999", "1:-1", "1:2:3"} {
		_, err := userOf(t, who, look)
		require.True(t, errdefs.IsInvalidArgument(err), "%s: %v", who, err)
	}
	none := imageWith(t, func(string) error { return nil })
	u, err := userOf(t, "5:6", none)
	require.NoError(t, err)
	require.Equal(t, specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{6}}, u)
	_, err = userOf(t, "app", none)
	require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
}

func TestAContainerdThatIsAwayIsNotTheImagesFault(t *testing.T) {
	_, err := userOf(t, "app", func(context.Context, func(string) error) error { return errdefs.ErrUnavailable })
	require.True(t, errdefs.IsUnavailable(err))
	require.False(t, errdefs.IsInvalidArgument(err))
}

func FuzzUserFiles(f *testing.F) {
	f.Add([]byte("app:x:7:8::/:/bin/sh\n"), []byte("dialout:x:20:app\n"), "app:dialout")
	f.Fuzz(func(t *testing.T, passwd, group []byte, who string) {
		u, err := userFiles{passwd, group}.lookUp(who)
		if err == nil {
			require.LessOrEqual(t, u.UID, uint32(maxID))
			require.LessOrEqual(t, u.GID, uint32(maxID))
			require.Contains(t, u.AdditionalGids, u.GID)
		} else {
			require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
	})
}
