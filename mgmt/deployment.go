package mgmt

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/httpapi"
)

// Deployments stands between operators and the agent: what the one wants of the other,
// and what it says of it. Values of variables go in and never out.
type Deployments interface {
	Look() deployment.View
	Text(revision string) ([]byte, error)
	Put(text []byte, given map[string]string, before *string) (revision string, changed bool, err error)
}

// deploymentBody is the most bytes of a manifest and its values in JSON: both may have
// deployment.MaxFile, base64 makes the one longer and escapes the other.
const deploymentBody = 4 * deployment.MaxFile

func (a *api) getDeployment(w http.ResponseWriter, _ *httpapi.Request) error {
	v := a.Deployments.Look()
	d := wire.Deployment{Revision: v.Revision, Variables: v.Variables, Status: v.Status, History: v.History, Problem: v.Problem}
	if d.Variables == nil {
		d.Variables = []string{}
	}
	if d.History == nil {
		d.History = []deployment.Entry{}
	}
	httpapi.WriteJSON(w, http.StatusOK, d)
	return nil
}

func (a *api) getManifest(w http.ResponseWriter, r *httpapi.Request) error {
	text, err := a.Deployments.Text(r.Query.Get("revision"))
	if err == nil {
		httpapi.WriteJSON(w, http.StatusOK, wire.DeploymentManifest{Revision: deployment.Revision(text), Manifest: text})
	}
	return err
}

func (a *api) putDeployment(w http.ResponseWriter, r *httpapi.Request) error {
	var spec wire.DeploymentSpec
	if err := r.LongJSON(&spec, deploymentBody); err != nil {
		return err
	}
	revision, changed, err := a.Deployments.Put(spec.Manifest, spec.Variables, spec.Before)
	if err == nil {
		r.Revision = revision
		httpapi.WriteJSON(w, http.StatusOK, wire.DeploymentPut{Revision: revision, Changed: changed})
	}
	return err
}
