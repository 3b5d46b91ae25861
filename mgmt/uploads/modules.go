package uploads

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

func (a *api) list(w http.ResponseWriter, _ *httpapi.Request) error {
	b, err := a.views.all(a.Packages.List())
	if err != nil {
		return err
	}
	httpapi.WriteBytes(w, http.StatusOK, b)
	return nil
}

func (a *api) get(w http.ResponseWriter, r *httpapi.Request) error {
	uid, err := r.Var("uid")
	if err != nil {
		return err
	}
	p, err := a.Packages.Get(uid)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, encode(p))
	return nil
}

func (a *api) add(w http.ResponseWriter, r *httpapi.Request) error {
	u, err := a.receive(r)
	if err != nil {
		return err
	}
	defer u.Abort()
	p, err := u.Add(r.Context())
	if err != nil {
		return err
	}
	r.Package = p.UID
	httpapi.WriteJSON(w, http.StatusOK, encode(p))
	return nil
}

func (a *api) addLater(w http.ResponseWriter, r *httpapi.Request) error {
	u, err := a.receive(r)
	if err != nil {
		return err
	}
	defer u.Abort()
	p, action, err := u.AddLater(r.Context())
	if err != nil {
		return err
	}
	r.Package = p.UID
	httpapi.WriteJSON(w, http.StatusOK, wire.PackageAdded{ActionUID: action.UID, PackageModule: *encode(p)})
	return nil
}

func (a *api) remove(w http.ResponseWriter, r *httpapi.Request) error {
	uid, err := r.Var("uid")
	if err != nil {
		return err
	}
	r.Package = uid
	if err := a.Packages.Delete(r.Context(), uid); err != nil {
		return err
	}
	httpapi.WriteBytes(w, http.StatusOK, []byte("{}"))
	return nil
}

func (a *api) removeLater(w http.ResponseWriter, r *httpapi.Request) error {
	uid, err := r.Var("uid")
	if err != nil {
		return err
	}
	r.Package = uid
	action, err := a.Packages.DeleteLater(r.Context(), uid)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, wire.PackageRemoved{ActionUID: action.UID})
	return nil
}

func (a *api) action(w http.ResponseWriter, r *httpapi.Request) error {
	uid, err := r.Var("uid")
	if err != nil {
		return err
	}
	action, err := a.Packages.Action(uid)
	if err != nil {
		return err
	}
	httpapi.WriteJSON(w, http.StatusOK, encodeAction(action))
	return nil
}
