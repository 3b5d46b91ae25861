package mgmt

import (
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// listModules lists the modules; edged's own are for operators that ask for them by
// system=true, which no client of the contract does.
func (a *api) listModules(w http.ResponseWriter, r *httpapi.Request) error {
	list := a.Supervisor.List
	system, err := r.Bool("system")
	if err != nil {
		return err
	}
	if system && a.Decider.Decide(access.Operator, r.Caller, "") == nil {
		list = a.Supervisor.All
	}
	httpapi.WriteBytes(w, http.StatusOK, a.Views.List(list(r.Context()), a.seesEnv(r.Caller)))
	return nil
}

func (a *api) getModule(w http.ResponseWriter, r *httpapi.Request) error {
	state, err := a.Supervisor.Get(r.Context(), r.Module)
	if err != nil {
		return err
	}
	a.answer(w, r, http.StatusOK, state)
	return nil
}

func (a *api) createModule(w http.ResponseWriter, r *httpapi.Request) error {
	spec, err := readSpec(r)
	if err != nil {
		return err
	}
	r.Module = spec.Name // the path names none, the audit log should
	state, err := a.Supervisor.Create(r.Context(), spec)
	if err != nil {
		return err
	}
	a.answer(w, r, http.StatusCreated, state)
	return nil
}

func (a *api) updateModule(w http.ResponseWriter, r *httpapi.Request) error {
	start, err := r.Bool("start")
	if err != nil {
		return err
	}
	spec, err := readSpec(r)
	if err != nil {
		return err
	}
	var answered chan struct{}
	if r.Caller.Module() == spec.Name {
		answered = make(chan struct{})
		defer close(answered)
	}
	state, err := a.Supervisor.Update(r.Context(), spec, start, answered)
	if err != nil {
		return err
	}
	a.answer(w, r, http.StatusOK, state)
	if answered != nil {
		// What is written but still in a buffer would come after the switch, to nobody.
		_ = http.NewResponseController(w).Flush()
	}
	return nil
}

func (a *api) deleteModule(w http.ResponseWriter, r *httpapi.Request) error {
	return noContent(w, a.Supervisor.Delete(r.Context(), r.Module))
}

func (a *api) prepareUpdate(w http.ResponseWriter, r *httpapi.Request) error {
	spec, err := readSpec(r)
	if err != nil {
		return err
	}
	return noContent(w, a.Supervisor.Prepare(r.Context(), spec))
}

func (a *api) checkModule(w http.ResponseWriter, r *httpapi.Request) error {
	spec, err := readSpec(r)
	if err != nil {
		return err
	}
	return noContent(w, a.Supervisor.Check(spec))
}

func (a *api) startModule(w http.ResponseWriter, r *httpapi.Request) error {
	return noContent(w, a.Supervisor.Start(r.Context(), r.Module))
}

func (a *api) stopModule(w http.ResponseWriter, r *httpapi.Request) error {
	return noContent(w, a.Supervisor.Stop(r.Context(), r.Module, r.Caller.Kind == peer.Host))
}

func (a *api) restartModule(w http.ResponseWriter, r *httpapi.Request) error {
	return noContent(w, a.Supervisor.Restart(r.Context(), r.Module))
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		httpapi.Deadline(w)
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (a *api) answer(w http.ResponseWriter, r *httpapi.Request, status int, state *module.State) {
	httpapi.WriteBytes(w, status, a.Views.One(state, a.seesEnv(r.Caller)))
}

// seesEnv says whether a caller is shown modules' environments, which often hold
// secrets: edgeAgent, which wrote them, and host users who hold any permission.
func (a *api) seesEnv(c peer.Caller) bool {
	return c.Module() == module.AgentName || c.Kind == peer.Host && a.Decider.HasAny(c)
}

// readSpec decodes a module's spec. A name that is not the path's is refused: the
// caller means one of two modules, and edged does not guess which.
func readSpec(r *httpapi.Request) (module.Spec, error) {
	var body wire.ModuleSpec
	if err := r.JSON(&body); err != nil {
		return module.Spec{}, err
	}
	name, err := module.CanonicalName(body.Name)
	if err != nil {
		return module.Spec{}, err
	}
	if r.Module != "" && name != r.Module {
		return module.Spec{}, fmt.Errorf("module name in spec does not match URI: %q is not %q: %w", body.Name, r.Module, errdefs.ErrInvalidArgument)
	}
	policy, err := module.ParsePullPolicy(body.ImagePullPolicy)
	if err != nil {
		return module.Spec{}, err
	}
	settings := &body.Config.Settings
	options, err := joinOptions(settings.CreateOptions, settings.CreateOptionsParts)
	if err != nil {
		return module.Spec{}, err
	}
	if options, err = canonicalOptions(options); err != nil {
		return module.Spec{}, err
	}
	spec := module.Spec{
		Name: name, Type: body.Type, Image: settings.Image, ImageHash: settings.ImageHash,
		CreateOptions: options, Management: settings.Management, PullPolicy: policy,
	}
	if spec.Secrets, err = readSecrets(settings.Secrets); err != nil {
		return module.Spec{}, err
	}
	if a := settings.Auth; a != nil && *a != (wire.Auth{}) {
		spec.Auth = &module.Auth{Username: a.Username, Password: a.Password, Email: a.Email, ServerAddress: a.ServerAddress}
	}
	for _, e := range body.Config.Env {
		spec.Env = append(spec.Env, module.EnvVar{Key: e.Key, Value: e.Value})
	}
	return spec, spec.Validate()
}
