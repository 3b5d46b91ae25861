package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/backup"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/keystore/uri"
)

// edgedProgram finds the daemon's program, which alone knows the database: beside this
// one, so that a build runs with its own, then where the package puts it.
func edgedProgram() (string, error) {
	places := []string{"/usr/bin/edged"}
	if exe, err := os.Executable(); err == nil {
		places = append([]string{filepath.Join(filepath.Dir(exe), "edged")}, places...)
	}
	for _, p := range places {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("cannot find the program edged, looked at %s", strings.Join(places, " and "))
}

// offlineTimeout bounds what edged does with its database for edgectl.
const offlineTimeout = 5 * time.Minute

// edgedSays runs the daemon's program for one of its offline commands. What it complains of
// although it does what it is asked, the user has to hear.
func (a *app) edgedSays(ctx context.Context, args ...string) (string, error) {
	path, err := edgedProgram()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, offlineTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	complaint := strings.TrimSpace(complaints.String())
	var exit *exec.ExitError
	switch {
	case complaint == "":
	case err == nil:
		fmt.Fprintln(a.err, printableText(complaint))
	case errors.As(err, &exit):
		err = errors.New(strings.TrimPrefix(complaint, "edged: "))
	}
	return strings.TrimSpace(string(out)), err
}

// parseSchemas reads what edged says of its databases: a number each, the catalog's last.
func parseSchemas(said string) (s backup.Schemas, err error) {
	_, err = fmt.Sscan(said, &s.Database, &s.Catalog)
	return s, err
}

// edgedGroup is the id of the group edged, -1 without one.
func edgedGroup() int {
	g, err := user.LookupGroup("edged")
	if err != nil {
		return -1
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	return gid
}

func onlyRoot(what string) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("%s has to be run by root", what)
	}
	return nil
}

func (a *app) backup() *cobra.Command {
	var out, file string
	var volumes, noKeys bool
	cmd := &cobra.Command{
		Use: "backup", Short: "Write what this device is into an archive", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Write the databases, the keys, the deployment and the configuration into an archive, also
while edged runs. Of the configuration it is the file, its config.d, and what lies in
the same folder of networks, CA, trust bundle and trusted signers of packages. With --volumes
the volumes are in it as well, as their files are at the moment: stop the modules that write
to them first. Images, packages and logs are not in it, nor are keys outside of the home:
in another folder, a credential, a TPM or a token.

Who has the archive can be this device: keep it as safe as the device itself.`,
		Example: `  edgectl backup -o /mnt/usb/gateway.tar.gz
  edgectl backup -o - | ssh desk 'cat > gateway.tar.gz'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyRoot("backup"); err != nil {
				return err
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			dir, remove, err := backup.Scratch(cfg.Home)
			if err != nil {
				return err
			}
			defer remove()
			copied := filepath.Join(dir, "edged.db")
			said, err := a.edgedSays(ctx, "--config", file, "--backup-database", copied)
			if err != nil {
				return err
			}
			schemas, err := parseSchemas(said)
			if err != nil {
				return fmt.Errorf("cannot read the schemas of the copies: %w", err)
			}
			src := backup.Source{
				Home: cfg.Home, Config: filepath.Dir(file), ConfigFiles: configFiles(cfg, file, !noKeys), Database: copied,
				Info: backup.Info{
					Format: backup.Format, Version: version, Schema: schemas.Database, CatalogSchema: schemas.Catalog, Created: a.now().UTC().Format(time.RFC3339), Host: cfg.Hostname,
					Keys: !noKeys, Volumes: volumes,
				},
			}
			if where := keysElsewhere(cfg); where != "" && !noKeys {
				fmt.Fprintf(a.err, "note: the keys are not in it: they are in %s\n", printable(where))
			}
			if schemas.Catalog > 0 {
				src.Catalog = filepath.Join(dir, "catalog.db") // beside the other, where edged put it
			}
			r, w := io.Pipe()
			written := make(chan struct{})
			go func() {
				defer close(written)
				w.CloseWithError(backup.Write(w, src))
			}()
			defer func() {
				_ = r.Close()
				<-written
			}()
			defer context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })()
			if out == "-" {
				_, err := io.Copy(a.out, r)
				return err
			}
			if out == "" {
				out = "edged-backup-" + a.now().Format("20060102-150405") + ".tar.gz"
			}
			n, err := save(out, r)
			if err == nil {
				fmt.Fprintf(a.out, "%s (%s)\n", out, units.HumanSize(float64(n)))
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the `file` to write (edged-backup-<time>.tar.gz), or - for standard output")
	cmd.Flags().StringVarP(&file, "config", "c", config.DefaultFile, "edged's configuration `file`")
	cmd.Flags().BoolVar(&volumes, "volumes", false, "with the volumes")
	cmd.Flags().BoolVar(&noKeys, "without-keys", false, "without the keys")
	return cmd
}

// keysElsewhere is where the keys are that are not in the home, or empty.
func keysElsewhere(cfg *config.Config) string {
	where, err := uri.Parse(cfg.Keystore.URI)
	if err != nil || where.Kind == uri.File && where.Path == filepath.Join(cfg.Home, "keys") {
		return ""
	}
	return where.String()
}

// configFiles are what belongs to a configuration of the folder that it is in, and
// nothing else that may lie there.
func configFiles(cfg *config.Config, file string, keys bool) []string {
	folder := filepath.Dir(file)
	names := []string{filepath.Base(file)}
	if drop, err := filepath.Glob(filepath.Join(folder, "config.d", "*.toml")); err == nil {
		for _, f := range drop {
			names = append(names, filepath.Join("config.d", filepath.Base(f)))
		}
	}
	also := []string{cfg.Network.CNIConfDir, cfg.Device.TrustBundle, cfg.Device.CACert, cfg.Uploads.TrustDir}
	if keys {
		also = append(also, cfg.Device.CAKey)
	}
	for _, path := range also {
		rel, err := filepath.Rel(folder, path)
		if err == nil && path != "" && rel != "." && filepath.IsLocal(rel) {
			names = append(names, rel)
		}
	}
	return names
}

func (a *app) restore() *cobra.Command {
	var file string
	var yes, withConfig bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Bring a backup back", Args: usage(cobra.ExactArgs(1)),
		Long: `Bring back what "edgectl backup" wrote. edged has to be stopped. What is there before is
kept in a folder of the home, before-restore-<time>. The next start makes all modules anew
as the backup has them, and removes those of which it does not know. A backup of a newer edged is refused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := onlyRoot("restore"); err != nil {
				return err
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			said, err := a.edgedSays(cmd.Context(), "--schema")
			if err != nil {
				return err
			}
			schemas, err := parseSchemas(said)
			if err != nil {
				return fmt.Errorf("cannot read edged's schemas: %w", err)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer f.Close()
			info, err := backup.ReadInfo(f)
			if err != nil {
				return err
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("cannot read backup: %w", err)
			}
			if err := os.MkdirAll(cfg.Home, 0o700); err != nil {
				return fmt.Errorf("cannot restore: %w", err)
			}
			release, err := backup.Lock(cfg.Home)
			if err != nil {
				return err
			}
			defer release()
			if err := a.ask(printable(fmt.Sprintf("replace what is in %s by the backup of %s, %s", cfg.Home, info.Host, info.Created)), yes); err != nil {
				return err
			}
			folder := ""
			if withConfig {
				folder = filepath.Dir(file)
			}
			done, err := backup.Restore(f, backup.Target{Home: cfg.Home, Config: folder, Schemas: schemas, Group: edgedGroup(), Stamp: a.now().Format("20060102-150405")})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "restored; what was there is in %s\nstart edged: systemctl start edged\n", done.Aside)
			if !done.Info.Keys {
				fmt.Fprintln(a.err, "edgectl: there are no keys in the backup: those of this device, if it has any, have to be the same")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", config.DefaultFile, "edged's configuration `file`")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&withConfig, "with-config", false, "the configuration as well")
	return cmd
}

func (a *app) factoryReset() *cobra.Command {
	var file string
	var yes, keepKeys, keepVolumes bool
	cmd := &cobra.Command{
		Use: "factory-reset", Short: "Make this device forget everything", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Remove all that edged keeps: the databases, keys, volumes, logs and the deployment, for
good. edged has to be stopped. Its next start removes the modules' containers and begins
as on the first day. The configuration and image archives stay. Deleting does not wipe a
disk: who can read it raw may find what was there.`,
		RunE: func(*cobra.Command, []string) error {
			if err := onlyRoot("factory-reset"); err != nil {
				return err
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			release, err := backup.Lock(cfg.Home)
			if err != nil {
				return err
			}
			defer release()
			if err := a.ask("remove all that is in "+cfg.Home+", for good", yes); err != nil {
				return err
			}
			var keep []string
			if keepKeys {
				keep = append(keep, "keys")
			}
			if keepVolumes {
				keep = append(keep, "volumes")
			}
			if err := backup.Reset(cfg.Home, keep...); err != nil {
				return err
			}
			fmt.Fprintln(a.out, "start edged: systemctl start edged; it removes the modules that still run")
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", config.DefaultFile, "edged's configuration `file`")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&keepKeys, "keep-keys", false, "keep the keys, and with them the device's CA")
	cmd.Flags().BoolVar(&keepVolumes, "keep-volumes", false, "keep the volumes")
	return cmd
}
