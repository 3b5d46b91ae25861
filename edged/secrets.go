package main

import (
	"path/filepath"

	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/secret"
)

// secretFolder is where secrets are while modules run.
func secretFolder(cfg *config.Config) string { return filepath.Join(cfg.Run, "secrets") }

// openSecrets makes what modules' secrets are sealed with and where they are put.
func (d *daemon) openSecrets(sealer secret.Sealer) {
	d.box = secret.NewBox(sealer)
	d.secrets = secret.NewStore(secret.Config{
		Box: d.box, Dir: secretFolder(d.cfg), MountNS: d.mounts,
		Protected: append(runtimeFolders(d.cfg.Containerd.Address), d.cfg.Home, d.cfg.Run),
	})
}

// runtimeFolders are the container runtime's own, which no module is given anything of.
func runtimeFolders(address string) []string {
	return []string{address, "/run/containerd", "/var/lib/containerd"}
}
