package bundles

import (
	"net/http"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

func (a *api) storeStates(w http.ResponseWriter, r *httpapi.Request) error {
	states, err := a.Bundles.StoreStates(r.Context())
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, encodeStates(states))
	return nil
}

func (a *api) storedStates(w http.ResponseWriter, r *httpapi.Request) error {
	states, err := a.Bundles.StoredStates(r.Context())
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, encodeStates(states))
	return nil
}

// restoreStates goes back to the states in the body, or without a body to what was stored.
func (a *api) restoreStates(w http.ResponseWriter, r *httpapi.Request) error {
	var states []bundle.PersistentState
	if r.ContentLength != 0 {
		var body []wire.BundlePersistentState
		if err := r.JSON(&body); err != nil {
			return err
		}
		states = make([]bundle.PersistentState, len(body))
		for i, s := range body {
			states[i] = bundle.PersistentState(s)
		}
	}
	keys, err := a.Bundles.RestoreStates(r.Context(), states)
	if err != nil {
		return err
	}
	return a.done(w, r, keys...)
}

func encodeStates(states []bundle.PersistentState) []wire.BundlePersistentState {
	all := make([]wire.BundlePersistentState, len(states))
	for i, s := range states {
		all[i] = wire.BundlePersistentState(s)
	}
	return all
}

// list is for operators: what is remembered of bundles is told also while no framework runs.
func (a *api) list(w http.ResponseWriter, r *httpapi.Request) error {
	answer := wire.BundleList{Bundles: []wire.Bundle{}}
	states := map[string]string{}
	named, err := a.Bundles.Select(r.Context(), bundle.All)
	switch {
	case errdefs.IsUnavailable(err):
		answer.Trouble = httpapi.Message(err)
	case err != nil:
		return err
	}
	for _, n := range named {
		states[n.Key] = string(n.State)
	}
	for _, b := range a.Bundles.List() {
		key := b.Key.String()
		answer.Bundles = append(answer.Bundles, wire.Bundle{
			Key: key, Type: string(b.Kind), State: states[key], Wanted: b.Started, Held: a.Bundles.Held(b), Digest: b.Digest.String(), Size: b.Size,
			Installed: b.Installed.Format(time.RFC3339), Updated: b.Updated.Format(time.RFC3339), Name: b.Title, Vendor: b.Vendor,
		})
	}
	httpapi.WriteJSON(w, http.StatusOK, answer)
	return nil
}
