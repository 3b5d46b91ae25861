package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/moby/moby/api/types/container"
	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/pkg/parser"
)

// nvidiaGPU is the kind under which NVIDIA's toolkit describes its cards.
const nvidiaGPU = "nvidia.com/gpu="

// cdiNames reads DeviceRequests as names of the Container Device Interface, the one
// way to such devices that needs no runtime of a vendor. A request for GPUs, as
// "docker run --gpus" makes it, means NVIDIA's, as in Docker.
func cdiNames(o *options) ([]string, error) {
	var names []string
	for i := range o.HostConfig.DeviceRequests {
		found, err := cdiRequest(&o.HostConfig.DeviceRequests[i])
		if err != nil {
			return nil, invalid("HostConfig.DeviceRequests", "%w", err)
		}
		for _, n := range found {
			if slices.Contains(names, n) {
				return nil, invalid("HostConfig.DeviceRequests", "device %q is asked for twice", n)
			}
			names = append(names, n)
		}
	}
	return names, nil
}

func cdiRequest(r *container.DeviceRequest) ([]string, error) {
	gpu := slices.ContainsFunc(r.Capabilities, func(all []string) bool { return slices.Contains(all, "gpu") })
	switch {
	case len(r.Options) > 0:
		return nil, fmt.Errorf("driver %q: options are not supported: a description of the Container Device Interface has none", r.Driver)
	case r.Driver == "cdi" && (len(r.DeviceIDs) == 0 || r.Count != 0):
		return nil, fmt.Errorf("driver \"cdi\" takes DeviceIDs and no Count")
	case r.Driver == "cdi":
		for _, id := range r.DeviceIDs {
			if !parser.IsQualifiedName(id) {
				return nil, fmt.Errorf("%q is not a name of the Container Device Interface, as in \"vendor.example/class=name\"", id)
			}
		}
		return r.DeviceIDs, nil
	case (r.Driver == "" || r.Driver == "nvidia") && gpu:
		return gpuNames(r)
	}
	return nil, fmt.Errorf("driver %q is not supported: edged knows \"cdi\", and GPUs through it", r.Driver)
}

// maxGPUs bounds a Count, which is a caller's number.
const maxGPUs = 64

func gpuNames(r *container.DeviceRequest) ([]string, error) {
	switch {
	case len(r.DeviceIDs) > 0 && r.Count != 0:
		return nil, fmt.Errorf("there are both DeviceIDs and a Count: give one of them")
	case r.Count == -1:
		return []string{nvidiaGPU + "all"}, nil
	case r.Count < 0 || r.Count > maxGPUs || r.Count == 0 && len(r.DeviceIDs) == 0:
		return nil, fmt.Errorf("a Count of %d is neither -1 (all) nor 1 to %d", r.Count, maxGPUs)
	}
	var names []string
	for _, id := range r.DeviceIDs {
		names = append(names, nvidiaGPU+id)
	}
	for i := range r.Count {
		names = append(names, nvidiaGPU+strconv.Itoa(i))
	}
	for _, n := range names {
		if !parser.IsQualifiedName(n) {
			return nil, fmt.Errorf("%q is no name of a GPU", n)
		}
	}
	return names, nil
}

// cdiCache reads the descriptions as they are now; vendors' tools write them when
// drivers change. There is no watcher: a create is rare.
func (e *Engine) cdiCache() (*cdi.Cache, error) {
	options := []cdi.Option{cdi.WithAutoRefresh(false)}
	if len(e.cdiDirs) > 0 {
		options = append(options, cdi.WithSpecDirs(e.cdiDirs...))
	}
	cache, err := cdi.NewCache(options...)
	if err != nil {
		return nil, fmt.Errorf("cannot read device descriptions: %w", err)
	}
	// One vendor's faulty file must not keep another's devices away, so only a name that is missing counts.
	if err := cache.Refresh(); err != nil {
		e.Log.WithError(err).Debug("cannot read every device description")
	}
	return cache, nil
}

func (e *Engine) checkDeviceRequests(o *options) error {
	names, err := cdiNames(o)
	if err != nil || len(names) == 0 {
		return err
	}
	cache, err := e.cdiCache()
	if err != nil {
		return err
	}
	for _, n := range names {
		if cache.GetDevice(n) == nil {
			return invalid("HostConfig.DeviceRequests", "device %q is not described on this host (in /etc/cdi or /var/run/cdi)", n)
		}
	}
	return nil
}

// withDeviceRequests lets the descriptions edit the spec. Their mounts go past guard,
// since root wrote them, but not over a module's sockets.
func (e *Engine) withDeviceRequests(o *options, sockets string) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *ociContainer, s *oci.Spec) error {
		names, err := cdiNames(o)
		if err != nil || len(names) == 0 {
			return err
		}
		cache, err := e.cdiCache()
		if err != nil {
			return err
		}
		if _, err := cache.InjectDevices(s, names...); err != nil {
			return invalid("HostConfig.DeviceRequests", "%w", err)
		}
		for i := range s.Mounts {
			m := &s.Mounts[i]
			if err := besideSockets(m.Destination); err != nil && m.Source != sockets {
				return invalid("HostConfig.DeviceRequests", "%w", err)
			}
			if m.Type != "bind" {
				continue
			}
			// Vendors' libraries are often behind links; a start takes a link for a trick.
			if real, err := e.resolve(m.Source); err == nil {
				m.Source = real
			}
		}
		return nil
	}
}
