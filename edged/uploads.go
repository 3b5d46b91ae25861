package main

import (
	"context"
	"os"
	"runtime"

	"github.com/containerd/platforms"

	"github.com/edged/edged/mgmt"
	"github.com/edged/edged/mgmt/uploads"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/upload"
	"github.com/edged/edged/pkg/upload/download"
)

// openPackages opens the packages of the device.
func (d *daemon) openPackages(ctx context.Context) (*upload.Packages, error) {
	c := d.cfg.Uploads
	if c.SignatureRAMP != config.SignatureOff || c.SignatureImage != config.SignatureOff {
		if keys, err := pack.ReadTrust(c.TrustDir); err != nil || len(keys) == 0 {
			d.log.WithError(err).Warnf("no key in %s can be trusted: no signature of a package counts", c.TrustDir)
		}
	}
	return upload.Open(ctx, upload.Config{
		Content: d.content, Store: d.store, Images: d.engine, Guard: d.images, Fetcher: download.New(c.DependencyHosts),
		Device: d.uploadDevice(),
		Trust:  func() ([]pack.Key, error) { return pack.ReadTrust(c.TrustDir) },
		Policy: map[pack.Format]upload.Policy{
			pack.RAMPFormat: upload.Policy(c.SignatureRAMP), pack.ImageFormat: upload.Policy(c.SignatureImage),
		},
		MaxSize: int64(c.MaxSize), FreeFloor: int64(c.FreeFloor), Reserved: wholeNames(d.cfg.AgentImage(version)), RedisImage: c.RedisImage, Log: d.log,
	})
}

// wholeNames gives images the names under which they are kept.
func wholeNames(refs ...string) []string {
	var names []string
	for _, ref := range refs {
		if named, err := image.Normalize(ref); err == nil {
			names = append(names, named.String())
		}
	}
	return names
}

// uploadDevice is what packages are held against.
func (d *daemon) uploadDevice() upload.Device {
	c := d.cfg.Uploads
	device := upload.Device{
		RedisVersion: c.RedisVersion, RedisPackVersion: c.RedisPackVersion, Capabilities: c.Capabilities,
		Platform: platforms.Default(), Architecture: runtime.GOARCH,
	}
	if name, version, ok := upload.System(c.OS); ok {
		device.Systems, device.SystemVersion = []string{name}, version
		return device
	}
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} { // os-release(5)
		if text, err := os.ReadFile(file); err == nil {
			device.Systems, device.SystemVersion = upload.OSRelease(string(text))
			break
		}
	}
	return device
}

// uploadMounts are the API of packages on the management socket.
func (d *daemon) uploadMounts(limits httpapi.Limits) []mgmt.Mount {
	handler := uploads.New(uploads.Config{
		Packages: d.packages, MaxSize: int64(d.cfg.Uploads.MaxSize), Decider: d.decider, Audit: d.audit, Requests: d.requests, Limits: limits,
	})
	var mounts []mgmt.Mount
	for _, root := range uploads.Roots {
		mounts = append(mounts, mgmt.Mount{Root: root, Handler: handler})
	}
	return mounts
}

// runPackages looks after the images of packages, once it is known what modules use.
func (d *daemon) runPackages(ctx context.Context) {
	select {
	case <-d.supervisor.Reconciled():
		d.packages.Run(ctx)
	case <-ctx.Done():
	}
}

// sweepContent removes bytes that a crash left, once all who have some were asked.
func (d *daemon) sweepContent(ctx context.Context) error {
	swept, err := d.content.Sweep(ctx)
	if swept > 0 {
		d.log.Infof("removed %d blobs that nobody needs", swept)
	}
	return err
}
