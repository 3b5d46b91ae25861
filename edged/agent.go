package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/module"
)

// Folders of the agent, on the host and inside it.
const (
	agentDesired = "/var/lib/edged-agent/desired"
	agentStatus  = "/var/lib/edged-agent/status"
)

func (d *daemon) desiredFolder() string { return deployment.FoldersOf(d.cfg.Home).Desired }
func (d *daemon) statusFolder() string  { return deployment.FoldersOf(d.cfg.Home).Status }

// deployments is who gives the agent its manifests.
func (d *daemon) deployments() *deployment.Keeper {
	return &deployment.Keeper{Folders: deployment.FoldersOf(d.cfg.Home), Known: slices.Sorted(maps.Keys(d.cfg.Agent.Env))}
}

// makeAgentFolders lets the group edged, of which the agent is made a member, read
// what is desired and write what is so.
func (d *daemon) makeAgentFolders() error {
	group, err := edgedGroup()
	if err != nil {
		d.log.Warn("there is no group \"edged\" (groupadd --system edged): only root can use the management socket and the agent's folders")
	}
	if err := makeFolder(filepath.Dir(d.desiredFolder()), 0o710, group); err != nil {
		return err
	}
	if err := makeFolder(d.desiredFolder(), 0o750, group); err != nil {
		return err
	}
	// What the agent writes there belongs to the group, so that its members can read it.
	return makeFolder(d.statusFolder(), fs.ModeSetgid|0o770, group)
}

// agentFolders is what edged adds to the module edgeAgent, whichever agent it is.
func (d *daemon) agentFolders(name string) ([]module.Mount, []uint32) {
	if name != module.AgentName {
		return nil, nil
	}
	mounts := []module.Mount{
		{Source: d.desiredFolder(), Destination: agentDesired, ReadOnly: true},
		{Source: d.statusFolder(), Destination: agentStatus},
	}
	group, err := edgedGroup()
	if err != nil || group < 0 {
		return mounts, nil
	}
	return mounts, []uint32{uint32(group)}
}

// agentSpec is the module edgeAgent as [agent] describes it.
func (d *daemon) agentSpec() module.Spec {
	a := d.cfg.Agent
	spec := module.Spec{
		Name: module.AgentName, Type: "docker", Image: d.cfg.AgentImage(version),
		CreateOptions: json.RawMessage(a.CreateOptions), PullPolicy: module.PullPolicy(a.ImagePullPolicy),
	}
	for _, key := range slices.Sorted(maps.Keys(a.Env)) {
		spec.Env = append(spec.Env, module.EnvVar{Key: key, Value: a.Env[key]})
	}
	return spec
}
