package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/network"
	"github.com/edged/edged/pkg/store"
)

// endPatience is how long modules may take to end by themselves.
const endPatience = 10 * time.Second

// endModules is --end-modules, for the removal of the package: modules outlive edged, and
// nobody would be left to stop them. Their networks and the secrets in memory go, too.
// What should run stays written down, and the next start takes this for a power cut. It
// fails while edged runs.
func endModules(ctx context.Context, cfg *config.Config) error {
	s, err := store.Open(ctx, cfg.Home, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	log := logrus.New()
	log.SetLevel(logrus.ErrorLevel)
	e, err := engine.New(engine.Config{
		Address: cfg.Containerd.Address, Namespace: cfg.Containerd.Namespace, Snapshotter: cfg.Containerd.Snapshotter,
		Home: cfg.Home, Run: cfg.Run, Log: log,
	})
	if err != nil {
		return err
	}
	defer e.Close()
	// First of all: whatever fails behind this, the next start looks at everything anew.
	if err := os.Remove(bootFile(cfg)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot forget boot: %w", err)
	}
	if err := e.EndAll(ctx, endPatience); err != nil {
		return err // what runs keeps its network
	}
	return errors.Join(removeNetworks(ctx, cfg, s, log), unmountSecrets(cfg))
}

// noNetworks is a store in which no module has a network, so that all that are there are
// left over; it is only read.
type noNetworks struct{ network.Store }

func (noNetworks) Networks(context.Context) ([]network.Record, error) { return nil, nil }

func removeNetworks(ctx context.Context, cfg *config.Config, s *store.Store, log *logrus.Logger) error {
	m, err := network.New(ctx, networkConfig(cfg, nil, noNetworks{s}, log))
	if err != nil {
		return err
	}
	defer m.Close()
	return m.CleanUp(ctx)
}

func unmountSecrets(cfg *config.Config) error {
	err := unix.Unmount(secretFolder(cfg), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // nothing is mounted, or not even a folder there
		return &os.PathError{Op: "unmount", Path: secretFolder(cfg), Err: err}
	}
	return nil
}
