package mgmt

import (
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/volume"
)

func (a *api) listVolumes(w http.ResponseWriter, r *httpapi.Request) error {
	all, err := a.Volumes.List(r.Context())
	if err != nil {
		return err
	}
	list := wire.VolumeList{Volumes: make([]wire.Volume, 0, len(all))}
	for i := range all {
		list.Volumes = append(list.Volumes, encodeVolume(&all[i]))
	}
	httpapi.WriteJSON(w, http.StatusOK, list)
	return nil
}

func encodeVolume(v *volume.Volume) wire.Volume {
	out := wire.Volume{Name: v.Name, Anonymous: v.Module != "", Labels: v.Labels, Path: v.Path, Modules: v.Users}
	if out.Modules == nil {
		out.Modules = []string{}
	}
	if !v.Created.IsZero() {
		out.Created = v.Created.UTC().Format(time.RFC3339)
	}
	return out
}

func (a *api) removeVolume(w http.ResponseWriter, r *httpapi.Request) error {
	name, err := url.PathUnescape(path.Base(r.URL.EscapedPath()))
	if err != nil {
		return httpapi.BadRequest("invalid volume name in the path")
	}
	r.Volume = name
	return noContent(w, a.Volumes.Remove(r.Context(), name))
}

func (a *api) pruneVolumes(w http.ResponseWriter, r *httpapi.Request) error {
	removed, err := a.Volumes.Prune(r.Context())
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, wire.VolumesPruned{Removed: removed})
	return nil
}
