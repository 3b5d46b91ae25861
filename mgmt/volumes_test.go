package mgmt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVolumesAreListedWithTheirUsers(t *testing.T) {
	f := newFixture(t)
	w := f.ask("other", "GET", "/volumes"+v, "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"volumes":[
		{"name":"data","anonymous":false,"labels":{"a":"b"},"created":"1970-01-01T00:00:00Z","path":"/volumes/data/_data","modules":["target"]},
		{"name":"prune","anonymous":true,"path":"/volumes/prune/_data","modules":[]}]}`, w.Body.String())
}

func TestAVolumeInUseIsAConflict(t *testing.T) {
	f := newFixture(t)
	w := f.ask("root", "DELETE", "/volumes/data"+v, "")
	require.Equal(t, 409, w.Code)
	require.Equal(t, `volume "data" is in use by module target`, message(t, w))
	require.Equal(t, 404, f.ask("root", "DELETE", "/volumes/none"+v, "").Code)
}

func TestAVolumeMayBeCalledPrune(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, 204, f.ask("edged", "DELETE", "/volumes/prune"+v, "").Code)
	w := f.ask("edged", "POST", "/volumes/prune"+v, "")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"removed":["prune"]}`, w.Body.String())
	require.Equal(t, []string{"remove volume prune", "prune volumes"}, f.sup.asked)
}

func TestVolumesAreOfTheNewestVersion(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, 404, f.ask("root", "GET", "/volumes?api-version=2021-12-07", "").Code)
}
