package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/file"
)

func (a *app) supportBundle() *cobra.Command {
	var out string
	var opt client.BundleOptions
	cmd := &cobra.Command{
		Use: "support-bundle", Short: "Collect what is needed to find a fault", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Write a zip archive with the state of edged and of the modules, their logs, and what
the host says of itself. Values of environments, arguments, labels and passwords are
taken out of it, out of logs as well; look at it all the same before you pass it on.`,
		Example: `  edgectl support-bundle
  edgectl support-bundle --since 24h -o fault.zip
  edgectl support-bundle -o - | ssh desk 'cat > fault.zip'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPeriod(opt.Since, opt.Until, a.now()); err != nil {
				return usageError{err}
			}
			if out == "" {
				out = "support-bundle-" + a.now().Format("20060102-150405") + ".zip"
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			archive, err := c.SupportBundle(ctx, opt)
			if err != nil {
				return err
			}
			defer archive.Close()
			if out == "-" {
				_, err = io.Copy(a.out, archive)
				return err
			}
			n, err := save(out, archive)
			if err == nil {
				fmt.Fprintf(a.out, "%s (%s)\n", out, units.HumanSize(float64(n)))
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the `file` to write (support-bundle-<time>.zip), or - for standard output")
	cmd.Flags().StringVar(&opt.Since, "since", "", "log lines from this `time` on: RFC 3339, unix seconds, or how long ago, as 2h or 1 day")
	cmd.Flags().StringVar(&opt.Until, "until", "", "log lines up to this `time`")
	cmd.Flags().BoolVar(&opt.RuntimeOnly, "runtime-only", false, "of the modules' logs only those of edgeAgent and edgeHub")
	return cmd
}

// save writes a file that is there whole or not at all, and readable by its owner alone.
func save(name string, content io.Reader) (n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".edgectl-*")
	if err != nil {
		return 0, fmt.Errorf("cannot write %s: %w", name, err)
	}
	n, err = io.Copy(f, content)
	// On the disk before it is said to be there: the next thing that is done may be to pull it out.
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return 0, fmt.Errorf("cannot write %s: %w", name, err)
	}
	_ = file.SyncFolder(filepath.Dir(name)) // not every file system can, as over a network
	return n, nil
}

// untilInterrupted ends with Ctrl-C and the like, for what has to be cleaned up behind.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
}
