package module

// IdentityEnv is what every module is told about the device it runs on.
type IdentityEnv struct {
	DeviceID string
	Hub      string
	Gateway  string
	Hostname string
}

// Paths of the sockets inside a module; the module's own directory is mounted there.
const (
	SocketDir     = "/run/edged"
	workloadURI   = "unix://" + SocketDir + "/workload.sock"
	managementURI = "unix://" + SocketDir + "/mgmt.sock"
	apiVersion    = "2022-08-03"
)

// environment returns what states the identity of a module, under the names its
// clients know and under edged's own. It wins over what the spec says.
func (e IdentityEnv) environment(name, generationID string, management bool) []string {
	pairs := [][2]string{
		{"WORKLOADURI", workloadURI},
		{"MODULEID", name},
		{"MODULEGENERATIONID", generationID},
		{"DEVICEID", e.DeviceID},
		{"APIVERSION", apiVersion},
	}
	if management {
		pairs = append(pairs, [2]string{"MANAGEMENTURI", managementURI})
	}
	env := make([]string, 0, 2*len(pairs)+4)
	for _, prefix := range []string{"IOTEDGE_", "EDGED_"} {
		for _, p := range pairs {
			env = append(env, prefix+p[0]+"="+p[1])
		}
	}
	return env
}

// wantsManagement says whether a module gets the management socket.
func wantsManagement(spec *Spec) bool { return spec.Name == AgentName || spec.Management }
