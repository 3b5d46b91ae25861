package mgmt

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
)

func (a *api) listIdentities(w http.ResponseWriter, _ *httpapi.Request) error {
	list := wire.IdentityList{Identities: []wire.Identity{}}
	for _, id := range a.Identities.List() {
		list.Identities = append(list.Identities, showIdentity(id))
	}
	httpapi.WriteJSON(w, http.StatusOK, list)
	return nil
}

func (a *api) createIdentity(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.IdentitySpec
	if err := r.JSON(&body); err != nil {
		return err
	}
	id, err := a.Identities.Create(r.Context(), body.ModuleID, body.ManagedBy)
	r.Module = id.Module // the path names none, the audit log should
	return answerIdentity(w, id, err)
}

// updateIdentity takes a generation id too, as clients send one, and leaves it: it
// is edged's to give.
func (a *api) updateIdentity(w http.ResponseWriter, r *httpapi.Request) error {
	var body wire.IdentitySpec
	if err := r.JSON(&body); err != nil {
		return err
	}
	id, err := a.Identities.Update(r.Context(), r.Module, body.ManagedBy)
	return answerIdentity(w, id, err)
}

func (a *api) deleteIdentity(w http.ResponseWriter, r *httpapi.Request) error {
	return noContent(w, a.Identities.Delete(r.Context(), r.Module))
}

func answerIdentity(w http.ResponseWriter, id identity.Identity, err error) error {
	if err == nil {
		httpapi.WriteJSON(w, http.StatusOK, showIdentity(id))
	}
	return err
}

func showIdentity(id identity.Identity) wire.Identity {
	return wire.Identity{ModuleID: id.ModuleID, ManagedBy: id.ManagedBy, GenerationID: id.GenerationID, AuthType: "sas"}
}
