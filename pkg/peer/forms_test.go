package peer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlacesOfTheHost(t *testing.T) {
	for path, want := range map[string]bool{
		"/":                              true,
		"/init.scope":                    true,
		"/init.scope/x":                  true,
		"/user.slice":                    true,
		"/user.slice/user-0.slice/a/b":   true,
		"/system.slice/cron.service":     true,
		"/system.slice/cron.service/x":   true,
		"/system.slice/session-c1.scope": true,
		"/system.slice/system-getty.slice/getty@tty1.service":     true,
		"/system.slice/system-a.slice/system-a-b.slice/x.service": true,

		"/system.slice":                      false,
		"/system.slice/x":                    false,
		"/system.slice/x.slice/y.service":    false,
		"/system.slice/system-getty.slice":   false,
		"/system.slice/system-getty.slice/x": false,
		"/system.slicex/cron.service":        false,
		"/init.scopex":                       false,
		"/user.slicex/a":                     false,
		"/x/user.slice/a":                    false,
		"/cron.service":                      false,
		"/machine.slice/x.scope":             false,
		"//user.slice":                       false,
	} {
		require.Equal(t, want, hostPlace([]byte(path)), path)
	}
}

func TestFormsOfContainers(t *testing.T) {
	for path, want := range map[string]bool{
		"/":                             false,
		"/system.slice/docker.service":  false,
		"/system.slice/runc-x.service":  false,
		"/system.slice/edged.service":   false,
		"/system.slice/edged-x.service": false,
		"/user.slice/defaults":          false,
		"/user.slice/edgedx":            false,
		"/user.slice/lxc.conf":          false,

		"/docker":                      true,
		"/a/docker/b":                  true,
		"/a/default":                   true,
		"/system.slice/docker-x.scope": true,
		"/system.slice/runc-x.scope":   true,
		"/kubepods":                    true,
		"/kubepods-burstable.slice":    true,
		"/a:cri-containerd:b":          true,
		"/lxc.payload.c1":              true,
		"/user.slice/edged":            true,
		"/user.slice/edged-x.scope":    true,
		"/edged/x":                     true,
	} {
		require.Equal(t, want, foreign([]byte(path), "edged"), path)
	}
}

func TestPlacesOfEdgedsOwnAreAnchored(t *testing.T) {
	for path, want := range map[string]bool{
		"/edged/x":                      true,
		"/edged/x/y":                    true,
		"/system.slice/edged-x.scope":   true,
		"/system.slice/edged-x.scope/y": true,
		"/edged":                        false,
		"/edgedx/y":                     false,
		"/user.slice/edged/x":           false,
		"/user.slice/edged-x.scope":     false,
		"/system.slice/edged-x.service": false,
		"/system.slice/a/edged-x.scope": false,
	} {
		require.Equal(t, want, ownPlace([]byte(path), "edged"), path)
	}
}
