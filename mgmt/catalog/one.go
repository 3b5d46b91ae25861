package catalog

import (
	"net/http"

	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
)

// comment is the header in which a client says why it changes something.
const comment = "PDC-Change-Comment"

func (a *api) get(w http.ResponseWriter, r *httpapi.Request) error {
	uid, params, err := one(r)
	if err != nil {
		return err
	}
	row, err := a.Catalog.Get(r.Context(), uid, params.filters)
	if err != nil {
		return err
	}
	writeRow(w, http.StatusOK, row, params.fields)
	return nil
}

// one reads which row a request is about, and its parameters.
func one(r *httpapi.Request) (uid string, params asked, err error) {
	if uid, err = r.Var("uid"); err != nil {
		return "", asked{}, err
	}
	params, err = parameters(r)
	return uid, params, err
}

// create makes a row or, of an array, many.
func (a *api) create(w http.ResponseWriter, r *httpapi.Request) error {
	params, c, err := a.asked(r)
	if err != nil {
		return err
	}
	defer c.close()
	many, err := c.isArray()
	if err != nil {
		return err
	}
	if many {
		return a.createMany(w, r, c, params)
	}
	if c.size > a.Limits.Body {
		return httpapi.TooLarge(a.Limits.Body)
	}
	body, err := c.value()
	if err != nil {
		return err
	}
	row, err := a.Catalog.Create(r.Context(), body)
	if err != nil {
		return err
	}
	changed(r, row.UID)
	writeRow(w, http.StatusCreated, row, params.fields)
	return nil
}

func (a *api) update(w http.ResponseWriter, r *httpapi.Request) error {
	uid, err := r.Var("uid")
	if err != nil {
		return err
	}
	params, c, err := a.asked(r)
	if err != nil {
		return err
	}
	defer c.close()
	body, err := c.value()
	if err != nil {
		return err
	}
	row, err := a.Catalog.Update(r.Context(), uid, params.filters, body, r.Method == http.MethodPatch)
	if err != nil {
		return err
	}
	changed(r, uid)
	writeRow(w, http.StatusOK, row, params.fields)
	return nil
}

func (a *api) delete(w http.ResponseWriter, r *httpapi.Request) error {
	uid, params, err := one(r)
	if err != nil {
		return err
	}
	if err := a.Catalog.Delete(r.Context(), uid, params.filters); err != nil {
		return err
	}
	changed(r, uid)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changed says for the audit log which row it was, and why.
func changed(r *httpapi.Request, what string) {
	r.Build, r.Comment = what, r.Header.Get(comment)
}

func writeRow(w http.ResponseWriter, status int, row *domain.Row, fields domain.Fields) {
	e := newEncoder()
	e.row(row, fields)
	warn(w, row.Warning)
	httpapi.WriteBytes(w, status, e.Bytes())
}
