package peer

import "bytes"

// ownScopePrefix begins the scopes that the systemd cgroup driver makes for edged's containers.
const ownScopePrefix = "edged-"

// Components that only a container runtime makes, compared whole. Where a runtime's cgroup driver is cgroupfs, it is the parent that is known: "docker" of
// "/docker/<id>", the containerd namespaces "default", "moby" and "k8s.io".
var runtimeNames = [...]string{
	"docker", "default", "moby", "k8s.io", "buildkit", "lxc", "libpod_parent", "machine.slice", "actions_job", "garden", "ecstasks.slice", "nomad.slice",
}

// Beginnings of components that only a container runtime makes.
var runtimePrefixes = [...]string{
	"docker-", "libpod-", "crio-", "cri-containerd-", "kubepods", "lxc.payload", "lxc.monitor", "lxc.pivot", "systemd-nspawn@",
}

// The same, but only of scopes: a service may well be called so.
var runtimeScopes = [...]string{"machine-", "runc-", "crun-", "youki-", "nerdctl-", "buildkit-", "podman-", "containerd-"}

// foreign says whether any component of a cgroup path has the form of a known runtime's or of edged's own containers, wherever it stands. edged's are among
// them because one that is not in the table is not the host's either.
func foreign(path []byte, namespace string) bool {
	for start, end := 0, boundary(path, 0); end > 0; start, end = end, boundary(path, end) {
		if c := path[start+1 : end]; runtimeForm(c) || ownForm(c, namespace) {
			return true
		}
	}
	return false
}

// runtimeForm judges one component.
func runtimeForm(c []byte) bool {
	for _, name := range runtimeNames {
		if string(c) == name {
			return true
		}
	}
	for _, prefix := range runtimePrefixes {
		if len(c) >= len(prefix) && string(c[:len(prefix)]) == prefix {
			return true
		}
	}
	// The CRI plugin under the cgroupfs driver, when it was given a systemd path: "kubepods-…-pod….slice:cri-containerd:<id>", also below another parent.
	if bytes.Contains(c, []byte(":cri-containerd:")) {
		return true
	}
	if !bytes.HasSuffix(c, []byte(".scope")) {
		return false
	}
	for _, prefix := range runtimeScopes {
		if len(c) >= len(prefix) && string(c[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// ownForm judges one component: the parent of edged's cgroups under the cgroupfs driver, or a scope of edged's under the systemd driver.
func ownForm(c []byte, namespace string) bool {
	return string(c) == namespace || ownScope(c)
}

func ownScope(c []byte) bool {
	return bytes.HasPrefix(c, []byte(ownScopePrefix)) && bytes.HasSuffix(c, []byte(".scope"))
}

// ownPlace says whether a path is where edged puts its containers: in "/<namespace>/", or a scope of edged's in system.slice. Unlike the forms this is
// anchored, for it decides who may wait for a row of the table, and a user may make a cgroup of that form in a place of his own.
func ownPlace(path []byte, namespace string) bool {
	first := boundary(path, 0)
	second := boundary(path, first)
	if first == 0 || second == 0 {
		return false
	}
	return string(path[1:first]) == namespace || (string(path[1:first]) == "system.slice" && ownScope(path[first+1:second]))
}

// hostPlace says whether a path of the hierarchy that systemd owns is one of the host's own processes: the root, init.scope, user.slice, or a service or scope
// of system.slice. Instances of template units lie one slice deeper, in system-<template>.slice.
func hostPlace(path []byte) bool {
	if string(path) == "/" {
		return true
	}
	end := boundary(path, 0)
	if end == 0 {
		return false
	}
	switch string(path[1:end]) {
	case "init.scope", "user.slice":
		return true
	case "system.slice":
	default:
		return false
	}
	for start, end := end, boundary(path, end); end > 0; start, end = end, boundary(path, end) {
		c := path[start+1 : end]
		if bytes.HasSuffix(c, []byte(".service")) || bytes.HasSuffix(c, []byte(".scope")) {
			return true
		}
		if !bytes.HasPrefix(c, []byte("system-")) || !bytes.HasSuffix(c, []byte(".slice")) {
			return false
		}
	}
	return false
}
