package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/volume"
)

func TestVolumesOfEveryGenerationAreInUse(t *testing.T) {
	generation := func(volume string) module.Generation {
		return module.Generation{Spec: module.Spec{CreateOptions: json.RawMessage(`{"HostConfig":{"Binds":["` + volume + `:/v"]}}`)}}
	}
	next := generation("after")
	require.Equal(t, volume.Uses{
		Modules: map[string]bool{"cut": true, "going": true},
		Named:   map[string][]string{"before": {"cut"}, "after": {"cut"}, "last": {"going"}},
	}, usesOf([]module.Record{
		{Name: "cut", Phase: module.PhaseUpdating, Current: generation("before"), Next: &next},
		{Name: "going", Phase: module.PhaseDeleting, Current: generation("last")},
	}))
}
