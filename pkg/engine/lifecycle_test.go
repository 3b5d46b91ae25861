package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
)

func checkOptions(t *testing.T, options string) (module.Lifecycle, error) {
	log := logrus.New()
	e := &Engine{Config: Config{Home: "/var/lib/edgedx", Run: "/run/edgedx", Namespace: "edged", Log: log, Networks: networksIn(t, t.TempDir(), log)}}
	return e.Check(&module.Spec{Name: "x", Image: "i", CreateOptions: json.RawMessage(options)})
}

func TestAMissingMountSourceDoesNotTakeTheRestartPolicy(t *testing.T) {
	life, err := checkOptions(t, `{"StopTimeout":60,"HostConfig":{"RestartPolicy":{"Name":"always"},"Mounts":[{"Type":"bind","Source":"/mnt/not-yet","Target":"/d"}]}}`)
	require.ErrorIs(t, err, errdefs.ErrInvalidArgument)
	require.Equal(t, "always", life.Restart.Name)
	require.Equal(t, time.Minute, life.StopTimeout)
}

func TestCgroupParentStaysOutOfModulesAndOfEdged(t *testing.T) {
	for _, parent := range []string{"/edged", "/edged/hub-12345678-g1", "edged/x", "/a/../edged/x", "/system.slice/edged.service", "/system.slice/edged-hub-g1.scope/x", "/plant/" + module.ContainerID("pump", 1), module.ContainerID("$x", 12) + "/x", "a:b", "/"} {
		_, err := checkOptions(t, `{"HostConfig":{"CgroupParent":"`+parent+`"}}`)
		require.ErrorIs(t, err, errdefs.ErrInvalidArgument, parent)
	}
	for _, parent := range []string{"", "/plant", "/edgedly/x", "plant.slice", "/line-1-g1", "/plant-12345678"} {
		_, err := checkOptions(t, `{"HostConfig":{"CgroupParent":"`+parent+`"}}`)
		require.NoError(t, err, parent)
	}
}

func TestCgroupParentIsASliceWhereSystemdMakesControlGroups(t *testing.T) {
	e := &Engine{Config: Config{Namespace: "edged", SystemdCgroup: true}}
	for parent, fine := range map[string]bool{"": true, "plant.slice": true, "plant": false, "/plant": false, "/plant.slice": false, "a.slice/b.slice": false} {
		o := &options{}
		o.HostConfig.CgroupParent = parent
		err := e.checkCgroupParent(o)
		require.Equal(t, !fine, errdefs.IsInvalidArgument(err), "%q: %v", parent, err)
	}
}
