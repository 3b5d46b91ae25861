package module

import (
	"context"
	"strings"
)

// Identities knows who modules are to the workload API.
type Identities interface {
	// EnsureIdentity returns the id under which a module's identity is registered and
	// its generation id, making the identity when there is none.
	EnsureIdentity(ctx context.Context, name string) (moduleID, generationID string, err error)
}

// IdentityEnv is what every module is told about the device it runs on.
type IdentityEnv struct {
	DeviceID string
	// Hub and Gateway are host names; Hub is empty without one.
	Hub, Gateway string
}

// Paths of the sockets inside a module; the module's own directory is mounted there.
const (
	SocketDir     = "/run/edged"
	workloadURI   = "unix://" + SocketDir + "/workload.sock"
	managementURI = "unix://" + SocketDir + "/mgmt.sock"
	apiVersion    = "2022-08-03"
)

const generationIDName = "MODULEGENERATIONID"

// GenerationIDOf returns the generation id that a module was told when its container was
// made, which is the one that it goes by until it is made anew; empty without one.
func GenerationIDOf(env []string) string {
	for _, kv := range env {
		if id, ok := strings.CutPrefix(kv, "EDGED_"+generationIDName+"="); ok {
			return id
		}
	}
	return ""
}

// environment returns what states the identity of a module, under the names its
// clients know and under edged's own. It wins over what the spec says.
func (e IdentityEnv) environment(moduleID, generationID string, management bool) []string {
	pairs := [][2]string{
		{"WORKLOADURI", workloadURI},
		{"MODULEID", moduleID},
		{generationIDName, generationID},
		{"DEVICEID", e.DeviceID},
		{"APIVERSION", apiVersion},
	}
	if management {
		pairs = append(pairs, [2]string{"MANAGEMENTURI", managementURI})
	}
	return underBothNames(pairs)
}

// defaults returns what modules are told besides, which their own environment may say
// otherwise: where the hub and the gateway are.
func (e IdentityEnv) defaults() []string {
	return underBothNames([][2]string{
		{"AUTHSCHEME", "sasToken"},
		{"IOTHUBHOSTNAME", e.Hub},
		{"GATEWAYHOSTNAME", e.Gateway},
	})
}

// underBothNames leaves out what has no value.
func underBothNames(pairs [][2]string) []string {
	env := make([]string, 0, 2*len(pairs))
	for _, prefix := range []string{"IOTEDGE_", "EDGED_"} {
		for _, p := range pairs {
			if p[1] != "" {
				env = append(env, prefix+p[0]+"="+p[1])
			}
		}
	}
	return env
}

// wantsManagement says whether a module gets the management socket.
func wantsManagement(spec *Spec) bool { return spec.Name == AgentName || spec.Management }

// EnvironmentNames are the variables by which edged tells modules who and where they are.
func EnvironmentNames() []string {
	all := IdentityEnv{DeviceID: "x", Hub: "x", Gateway: "x"}
	var names []string
	for _, kv := range append(all.environment("x", "x", true), all.defaults()...) {
		name, _, _ := strings.Cut(kv, "=")
		names = append(names, name)
	}
	return names
}
