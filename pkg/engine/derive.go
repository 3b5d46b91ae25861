package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/pkg/upload"
)

// DerivePackage makes an image of another one, a layer and a longer command. The layers of
// the base are named as they were and need not be here: their snapshots are. Errors:
// NotFound (the base), InvalidArgument (the base's command cannot be longer), Unavailable.
func (e *Engine) DerivePackage(ctx context.Context, d *upload.Derived) (string, error) {
	ctx, done := e.callFor(ctx, packageTimeout)
	defer done()
	base, u, err := e.base(ctx, d.Base)
	if err != nil {
		return "", err
	}
	command, err := longer(u.config, d.Command)
	if err != nil {
		return "", fmt.Errorf("cannot make an image on %s: %w", base.Name, err)
	}
	var made ocispec.Descriptor
	err = e.underLease(ctx, d.UID, func(ctx context.Context) error {
		layer, err := e.writeLayer(ctx, d)
		if err != nil {
			return err
		}
		// gofail: var uploadAfterLayer struct{}
		if made, err = e.writeDerived(ctx, base, layer, command); err != nil {
			return err
		}
		return e.keepPackage(ctx, d.UID, images.Image{Name: d.Name, Target: made})
	})
	return made.Digest.String(), err
}

// longer adds arguments to what an image runs. A shell would take them for its own.
func longer(config ocispec.ImageConfig, args []string) ([]string, error) {
	line := append(append([]string{}, config.Entrypoint...), config.Cmd...)
	if len(line) == 0 {
		return nil, fmt.Errorf("it says nothing of what it runs: %w", errdefs.ErrInvalidArgument)
	}
	if len(line) > 1 && line[1] == "-c" {
		return nil, fmt.Errorf("it runs %q, to which no argument can be added: %w", line, errdefs.ErrInvalidArgument)
	}
	return append(append([]string{}, config.Cmd...), args...), nil
}

// writeLayer writes the layer into containerd and describes it.
func (e *Engine) writeLayer(ctx context.Context, d *upload.Derived) (ocispec.Descriptor, error) {
	w, err := content.OpenWriter(ctx, e.client.ContentStore(), content.WithRef(packageLease+d.UID+"-layer"))
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("cannot write layer: %w", err)
	}
	defer w.Close()
	if err := w.Truncate(0); err != nil { // what a crash left
		return ocispec.Descriptor{}, fmt.Errorf("cannot write layer: %w", err)
	}
	size := &counted{w: w, sum: digest.SHA256.Digester()}
	if err := d.Layer(size); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("cannot write layer: %w", err)
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: size.sum.Digest(), Size: size.n}
	if err := w.Commit(ctx, desc.Size, desc.Digest); err != nil && !errdefs.IsAlreadyExists(err) {
		return ocispec.Descriptor{}, fmt.Errorf("cannot write layer: %w", err)
	}
	return desc, nil
}

// counted is what the layer's tar is written through.
type counted struct {
	w   io.Writer
	sum digest.Digester
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.sum.Hash().Write(p[:n])
	c.n += int64(n)
	return n, err
}

// writeDerived writes configuration and manifest: the base's with one layer more.
func (e *Engine) writeDerived(ctx context.Context, base images.Image, layer ocispec.Descriptor, command []string) (ocispec.Descriptor, error) {
	store := e.client.ContentStore()
	manifest, err := images.Manifest(ctx, store, base.Target, platforms.Default())
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("cannot read the base's manifest: %w", err)
	}
	if manifest.Config.Size > maxConfig {
		return ocispec.Descriptor{}, fmt.Errorf("the base's configuration is larger than %d bytes: %w", maxConfig, errdefs.ErrInvalidArgument)
	}
	text, err := content.ReadBlob(ctx, store, manifest.Config)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("cannot read the base's configuration: %w", err)
	}
	if text, err = derivedConfig(text, layer.Digest, command); err != nil {
		return ocispec.Descriptor{}, err
	}
	if images.IsDockerType(manifest.Config.MediaType) {
		layer.MediaType = images.MediaTypeDockerSchema2Layer
	}
	manifest.Config, err = e.writeText(ctx, manifest.Config.MediaType, text)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest.MediaType = ocispec.MediaTypeImageManifest
	if images.IsDockerType(manifest.Config.MediaType) {
		manifest.MediaType = images.MediaTypeDockerSchema2Manifest
	}
	manifest.Layers = append(manifest.Layers, layer)
	manifest.Annotations, manifest.Subject = nil, nil
	if text, err = json.Marshal(manifest); err != nil {
		return ocispec.Descriptor{}, err
	}
	return e.writeText(ctx, manifest.MediaType, text)
}

func (e *Engine) writeText(ctx context.Context, kind string, text []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: kind, Digest: digest.FromBytes(text), Size: int64(len(text))}
	if err := content.WriteBlob(ctx, e.client.ContentStore(), packageLease+d.Digest.String(), bytes.NewReader(text), d); err != nil {
		return d, fmt.Errorf("cannot write %s: %w", kind, err)
	}
	return d, nil
}

// derivedConfig adds a layer to an image's configuration and changes its command. What it
// has besides, such as Docker's additions, stays as it is.
func derivedConfig(text []byte, diff digest.Digest, command []string) ([]byte, error) {
	var (
		config, inner map[string]json.RawMessage
		root          ocispec.RootFS
		history       []json.RawMessage
	)
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("cannot read the base's configuration: %w", err)
	}
	for key, into := range map[string]any{"config": &inner, "rootfs": &root, "history": &history} {
		if raw := config[key]; len(raw) > 0 {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, fmt.Errorf("cannot read the base's configuration: %s: %w", key, err)
			}
		}
	}
	if inner == nil {
		inner = map[string]json.RawMessage{}
	}
	root.DiffIDs = append(root.DiffIDs, diff)
	added, err := json.Marshal(ocispec.History{CreatedBy: "edged: a Redis module"})
	if err != nil {
		return nil, err
	}
	if inner["Cmd"], err = json.Marshal(command); err != nil {
		return nil, err
	}
	for key, value := range map[string]any{"config": inner, "rootfs": root, "history": append(history, added)} {
		if config[key], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(config)
}

// manifestType reads the kind of a manifest that nothing describes any more.
func manifestType(ctx context.Context, store content.Provider, d ocispec.Descriptor) (string, error) {
	text, err := content.ReadBlob(ctx, store, d)
	if err != nil {
		return "", err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return "", fmt.Errorf("cannot read manifest %s: %w", d.Digest, err)
	}
	if m.MediaType == "" {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	return m.MediaType, nil
}
