package engine

import (
	"context"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/require"
)

func TestAUserThatWasLookedUpIsRememberedWithItsImage(t *testing.T) {
	ctx := context.Background()
	image := unpacked{users: new(sync.Map)}
	image.users.Store("probe", specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{1234}})
	o := new(options)
	o.User = "probe"
	for range 2 { // what edged adds for one container is not there for the next
		s := &oci.Spec{Process: &specs.Process{}}
		require.NoError(t, withUser(o, image, nil)(ctx, nil, nil, s), "no file system is asked for")
		require.Equal(t, specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{1234}}, s.Process.User)
		require.NoError(t, withGroups([]uint32{99})(ctx, nil, nil, s))
		s.Process.User.AdditionalGids[0] = 0
	}
}
