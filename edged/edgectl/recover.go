package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/backup"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/file"
)

// recoverConfig is read after the operator's own files, whose [agent] it overrides.
const recoverConfig = `# Written by "edgectl recover": the agent of the package, as it comes. Remove this file
# to go back to the agent of config.toml.
[agent]
image = ""
image_pull_policy = "never"
create_options = "{}"
`

func (a *app) recover() *cobra.Command {
	var configFile string
	var yes, keepDeployment bool
	cmd := &cobra.Command{
		Use: "recover", Short: "Go back to the packaged agent and the last good deployment", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `The way back when the agent does not work and so nothing can be changed any more. For
root, with edged stopped, without a network: the next start makes edgeAgent anew from the
package, and what the agent last had applied in full is what it is to apply. A file
config.d/zz-recover.toml overrides [agent]; remove it to go back to your own agent. It
goes into the audit log.`,
		Example: `  systemctl stop edged.service edged.mgmt.socket edged.workload.socket
  edgectl recover
  systemctl start edged`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onlyRoot("recover"); err != nil {
				return err
			}
			cfg, err := config.Load(configFile)
			if err != nil {
				return err
			}
			// Fails while edged runs. The lock is not kept: edged takes it itself for its part.
			if err := backup.Settle(cfg.Home); err != nil {
				return err
			}
			f := deployment.FoldersOf(cfg.Home)
			good, text := lastGood(f)
			what := "make the packaged agent edgeAgent again"
			if text != nil && !keepDeployment {
				what += " and " + short(good) + " the deployment"
			}
			if err := a.ask(what, yes); err != nil {
				return err
			}
			if _, err := a.edgedSays(cmd.Context(), "--config", configFile, "--recover-agent"); err != nil {
				return err
			}
			folder := filepath.Join(filepath.Dir(configFile), "config.d")
			if err := os.MkdirAll(folder, 0o750); err != nil {
				return fmt.Errorf("cannot recover: %w", err)
			}
			if err := file.Write(filepath.Join(folder, "zz-recover.toml"), []byte(recoverConfig), 0o640, groupOf(folder)); err != nil {
				return err
			}
			fmt.Fprintln(a.out, "edgeAgent will be the packaged agent")
			switch {
			case keepDeployment:
			case text == nil:
				fmt.Fprintln(a.err, "edgectl: no deployment was ever applied in full, or its manifest is gone: the deployment stays as it is")
			default:
				if err := f.Write(text, nil); err != nil {
					return err
				}
				fmt.Fprintf(a.out, "the deployment will be %s\n", short(good))
			}
			fmt.Fprintln(a.out, "start edged: systemctl start edged")
			return nil
		},
	}
	cmd.Flags().StringVarP(&configFile, "config", "c", config.DefaultFile, "edged's configuration `file`")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&keepDeployment, "keep-deployment", false, "leave the deployment as it is")
	return cmd
}

// lastGood is the last deployment that was applied in full, nil when its text is not to be had.
func lastGood(f deployment.Folders) (revision string, text []byte) {
	var candidates []string
	if s, err := f.ReadStatus(); err == nil && s.LastGood != "" {
		candidates = append(candidates, s.LastGood)
	}
	if h, err := f.History(); err == nil {
		for _, e := range h.Deployments {
			if e.Phase == deployment.Applied {
				candidates = append(candidates, e.Revision)
			}
		}
	}
	for _, c := range candidates {
		// One that was changed, or is gone, is passed over: an older one is better than none.
		if text, err := f.Text(c); err == nil {
			return c, text
		}
	}
	return "", nil
}
