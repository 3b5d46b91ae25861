package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/edged/edged/mgmt"
	wirebundles "github.com/edged/edged/mgmt/bundles"
	"github.com/edged/edged/pkg/bundle"
	"github.com/edged/edged/pkg/bundle/framework"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/peer"
)

// osgi is the bundles of the device and the framework that runs them.
type osgi struct {
	bundles *bundle.Bundles
	host    *osgiHost
	server  *framework.Server
}

// openBundles opens the bundles of the device.
func (d *daemon) openBundles(ctx context.Context) (err error) {
	c := d.cfg.Bundles
	d.osgi.host = &osgiHost{d: d, wake: make(chan struct{}, 1)}
	if d.osgi.bundles, err = bundle.Open(ctx, bundle.Config{
		Content: d.content, Store: d.store, Host: d.osgi.host, ServerVersion: c.JahiaVersion, StartTimeout: c.StartTimeout.Duration,
		MaxSize: int64(d.cfg.Uploads.MaxSize), FreeFloor: int64(d.cfg.Uploads.FreeFloor), Log: d.log,
	}); err != nil {
		return err
	}
	d.osgi.server = &framework.Server{Admit: admitHost, Connected: func(s *framework.Session) { d.osgi.bundles.Connected(s) }, Log: d.log}
	return nil
}

// admitHost lets in the OSGi host and nobody else, as the kernel says who it is.
func admitHost(ctx context.Context, conn net.Conn) error {
	caller, err := peer.FromContext(peer.ConnContext(ctx, conn))
	if err != nil {
		return err
	}
	if caller.Module() != module.OSGiHost {
		return fmt.Errorf("it is %s: %w", caller, errdefs.ErrPermissionDenied)
	}
	return nil
}

// mountBundles is the API on the management socket.
func (d *daemon) mountBundles(limits httpapi.Limits) mgmt.Mount {
	d.sockets.handleRaw(listen.Framework, d.osgi.server.Serve)
	return mgmt.Mount{Root: wirebundles.Root, Handler: wirebundles.New(wirebundles.Config{
		Bundles: d.osgi.bundles, Node: d.cfg.Bundles.Node, Groups: d.cfg.Bundles.Groups, MaxSize: int64(d.cfg.Uploads.MaxSize),
		Decider: d.decider, Audit: d.audit, Requests: d.requests, Limits: limits,
	})}
}

// runBundles keeps the framework and its bundles as they are to be, once it is known what runs.
func (d *daemon) runBundles(ctx context.Context) {
	select {
	case <-d.supervisor.Reconciled():
	case <-ctx.Done():
		return
	}
	d.goes(func() { d.osgi.host.run(ctx) })
	d.osgi.bundles.Run(ctx)
}

func (d *daemon) closeBundles() {
	if d.osgi.bundles != nil {
		d.osgi.bundles.Close()
		d.osgi.server.Close()
	}
}

// osgiHost is the module in which the framework runs.
type osgiHost struct {
	d    *daemon
	wake chan struct{}

	keeping sync.Mutex // one thing is done to the module at a time

	mu     sync.Mutex
	wanted bool
	kept   bool  // the module is as it is to be
	failed error // why it is not

	importing sync.Mutex
}

// Between two looks at the host, when nothing happens and after a failure.
const hostCheck, hostRetry = time.Minute, 5 * time.Second

// Want lets the host run.
func (h *osgiHost) Want() {
	h.mu.Lock()
	look := !h.wanted || !h.kept
	h.wanted = true
	h.mu.Unlock()
	if look {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// Rest stops the host.
func (h *osgiHost) Rest(ctx context.Context) error {
	h.keeping.Lock()
	defer h.keeping.Unlock()
	h.mu.Lock()
	h.wanted, h.kept = false, false
	h.mu.Unlock()
	return h.d.supervisor.RestSystem(ctx, module.OSGiHost)
}

// Restart ends the host and makes it run anew.
func (h *osgiHost) Restart(ctx context.Context) error {
	h.keeping.Lock()
	defer h.keeping.Unlock()
	return h.d.supervisor.Restart(ctx, module.OSGiHost)
}

// run keeps the host as it is to be, until ctx ends.
func (h *osgiHost) run(ctx context.Context) {
	for ctx.Err() == nil {
		h.mu.Lock()
		before := h.failed
		h.mu.Unlock()
		err := h.ensure(ctx)
		if err != nil && ctx.Err() == nil && (before == nil || before.Error() != err.Error()) {
			h.d.log.WithError(err).Error("cannot keep the OSGi host as it is to be, trying again")
		}
		wait := hostCheck
		if err != nil {
			wait = hostRetry
		}
		select {
		case <-h.wake:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// ensure makes the host be as it is to be, where it is wanted and can be.
func (h *osgiHost) ensure(ctx context.Context) error {
	h.keeping.Lock()
	defer h.keeping.Unlock()
	h.mu.Lock()
	wanted := h.wanted
	h.mu.Unlock()
	if !wanted {
		return nil
	}
	kept, err := h.keep(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept, h.failed = kept, err
	return err
}

// keep says whether there is a host to be kept.
func (h *osgiHost) keep(ctx context.Context) (bool, error) {
	digest, here, err := h.image(ctx)
	if err != nil || !here && h.d.cfg.Bundles.HostImage == "" {
		return false, err // what runs of another version of edged goes on
	}
	spec, err := h.d.hostSpec()
	if err != nil {
		return false, err
	}
	err = h.d.supervisor.KeepSystem(ctx, spec, digest)
	return err == nil, err
}

// Installed says whether there is an image of the host, or one that is to be fetched. It is an error while somebody
// holds the host stopped: nobody is to wait for it then.
func (h *osgiHost) Installed(ctx context.Context) (bool, error) {
	if h.d.supervisor.Held(module.OSGiHost) {
		return false, fmt.Errorf("the OSGi framework does not run: %s: %w", h.Why(ctx), errdefs.ErrUnavailable)
	}
	if h.d.cfg.Bundles.HostImage != "" {
		return true, nil
	}
	if _, err := h.d.supervisor.Get(ctx, module.OSGiHost); err == nil {
		return true, nil // made of an image of before
	}
	_, here, err := h.image(ctx)
	return here, err
}

// image finds the host's image. The archive of a package that was installed after edged
// started is imported now.
func (h *osgiHost) image(ctx context.Context) (digest string, here bool, err error) {
	h.importing.Lock()
	defer h.importing.Unlock()
	ref := h.d.cfg.HostImage(version)
	if digest, here, err = h.d.engine.ImageDigest(ctx, ref); err != nil || here || !h.packaged() {
		return digest, here, err
	}
	select {
	case <-h.d.archives: // the start's own import may be about to bring it
	case <-ctx.Done():
		return "", false, fmt.Errorf("image archives are being imported: %w", errdefs.ErrUnavailable)
	}
	if digest, here, err = h.d.engine.ImageDigest(ctx, ref); err != nil || here {
		return digest, here, err
	}
	if _, err := h.d.engine.Preload(ctx, h.d.cfg.PreloadFolders(), h.d.store); err != nil {
		h.d.log.WithError(err).Error("cannot import all image archives")
	}
	return h.d.engine.ImageDigest(ctx, ref)
}

// packaged says whether a preload folder has the host's archive.
func (h *osgiHost) packaged() bool {
	for _, folder := range h.d.cfg.PreloadFolders() {
		if found, err := filepath.Glob(filepath.Join(folder, "edged-osgi-host*.tar*")); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// Why says why no framework runs.
func (h *osgiHost) Why(ctx context.Context) string {
	h.mu.Lock()
	failed := h.failed
	h.mu.Unlock()
	switch state, err := h.d.supervisor.Get(ctx, module.OSGiHost); {
	case failed != nil:
		return httpapi.Message(failed)
	case err != nil:
		return "its container is being made"
	case h.d.supervisor.Held(module.OSGiHost):
		return "somebody stopped the module " + module.OSGiHost + "; edgectl start " + module.OSGiHost + " starts it"
	case state.Status.Runtime != module.Running:
		return strings.TrimSpace("its container is " + string(state.Status.Runtime) + " " + state.Status.Description)
	}
	return "it is starting, or does not connect; edgectl logs " + module.OSGiHost + " may say why"
}

// What the host's program reads, and where its storage is, a volume of its image.
const (
	hostProperties = "EDGED_OSGI_PROPERTIES"
	hostLevel      = "EDGED_OSGI_LEVEL"
	javaOptions    = "JDK_JAVA_OPTIONS"
)

// hostSpec is the module osgiHost as [bundles] describes it.
func (d *daemon) hostSpec() (module.Spec, error) {
	c := d.cfg.Bundles
	options, err := hostOptions(int64(c.Heap), c.CreateOptions)
	if err != nil {
		return module.Spec{}, err
	}
	spec := module.Spec{
		Name: module.OSGiHost, Type: "docker", Image: d.cfg.HostImage(version), CreateOptions: options, PullPolicy: module.PullOnCreate,
		Env: []module.EnvVar{
			{Key: javaOptions, Value: fmt.Sprintf("-Xmx%dk", int64(c.Heap)>>10)},
			{Key: hostLevel, Value: "10"}, // the host's own bundles: edged lets it go on
		},
	}
	if c.JahiaVersion != "" {
		spec.Env = append(spec.Env, module.EnvVar{Key: hostProperties, Value: fmt.Sprintf(`org.osgi.framework.system.capabilities.extra=com.jahia.server;version:Version=%q`, c.JahiaVersion)})
	}
	return spec, nil
}

// hostMemory is what a JVM has beside its heap, in bytes: classes, compiled code, stacks.
const hostMemory = 192 << 20

// hostOptions are the createOptions of the host: no more rights than a program needs that
// computes and speaks to others. What the operator says wins.
func hostOptions(heap int64, further string) (json.RawMessage, error) {
	own := map[string]any{
		"HostConfig": map[string]any{
			"ReadonlyRootfs": true,
			"CapDrop":        []any{"ALL"},
			"SecurityOpt":    []any{"no-new-privileges:true"},
			"Memory":         2*heap + hostMemory,
			"PidsLimit":      512,
			"Tmpfs":          map[string]any{"/tmp": "size=64m"},
			"RestartPolicy":  map[string]any{"Name": "always"},
		},
	}
	var more map[string]any
	if err := json.Unmarshal([]byte(further), &more); err != nil {
		return nil, fmt.Errorf("[bundles] create_options: %w", err)
	}
	return json.Marshal(merge(own, more))
}

// merge puts what is in b over a; objects are merged, all else is replaced.
func merge(a, b map[string]any) map[string]any {
	for key, value := range b {
		inner, ok := value.(map[string]any)
		if before, is := a[key].(map[string]any); ok && is {
			a[key] = merge(before, inner)
			continue
		}
		a[key] = value
	}
	return a
}
