package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) bundleInstall() *cobra.Command {
	var start, ignoreChecks, quiet bool
	cmd := &cobra.Command{
		Use: "install FILE...", Short: "Install bundles",
		Long: `Install bundles from jars, or from deployment packages (.dp), all or none. One that is
there already under its key is updated. Bundles that are made for another Java or another
machine are refused, unless --ignore-checks is given. Their keys go to stdout.`,
		Example: `  edgectl bundle install --start article-2.0.3.jar news-2.0.2.jar`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 || slices.Contains(files, "") {
				return usageError{errors.New("which bundle? name at least one file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			var files []client.BundleFile
			var size int64
			for _, name := range names {
				f, info, err := openUpload(name)
				if err != nil {
					return err
				}
				defer f.Close()
				files = append(files, client.BundleFile{Body: f, Size: info.Size(), Name: filepath.Base(name)})
				size += info.Size()
			}
			return a.withClient(func(c *client.Client) error {
				progress := a.bar(fmt.Sprintf("%d bundles", len(files)), size)
				report := progress.show
				if quiet {
					report = nil
				}
				done, err := c.InstallBundles(cmd.Context(), files, start, ignoreChecks, report)
				progress.end()
				if err != nil {
					return err
				}
				return a.bundleKeys(done)
			})
		},
	}
	cmd.Flags().BoolVar(&start, "start", false, "start them when all are installed")
	cmd.Flags().BoolVar(&ignoreChecks, "ignore-checks", false, "take those that are made for another Java or machine")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

// maxStates bounds a file of states, in bytes.
const maxStates = 4 << 20

func (a *app) bundleStates() *cobra.Command {
	return &cobra.Command{
		Use: "states", Short: "Store which bundles are started, and show it", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Store which bundles are to be started and which are not, and show it as JSON: the state 32 is
started, 2 is stopped. edged does so itself after each change. What is shown can be kept in a
file, for "edgectl bundle restore".`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(func(c *client.Client) error {
				states, err := c.StoreBundleStates(cmd.Context())
				if err != nil {
					return err
				}
				return a.json(states)
			})
		},
	}
}

func (a *app) bundleRestore() *cobra.Command {
	return &cobra.Command{
		Use: "restore [FILE]", Short: "Start and stop bundles as they were", Args: usage(cobra.MaximumNArgs(1)),
		Long: `Start and stop bundles as a file says that "edgectl bundle states" wrote ("-" is stdin),
without one as edged stored it last. When one of them is not on the device any more, nothing
is done. The keys of those whose state was another go to stdout.`,
		Example: `  edgectl bundle states > before.json
  edgectl bundle restore before.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var states []wire.BundlePersistentState
			if len(args) == 1 {
				text, err := a.input(args[0], maxStates)
				if err != nil {
					return err
				}
				if err := json.Unmarshal(text, &states); err != nil {
					return fmt.Errorf("cannot read %s: %w", args[0], err)
				}
				if states == nil {
					states = []wire.BundlePersistentState{}
				}
			}
			return a.withClient(func(c *client.Client) error {
				done, err := c.RestoreBundleStates(cmd.Context(), states)
				if err != nil {
					return err
				}
				return a.bundleKeys(done)
			})
		},
	}
}
