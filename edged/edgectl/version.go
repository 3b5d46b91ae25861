package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client/wire"
)

// versions is what version prints as JSON, and what its template sees.
type versions struct {
	Client clientVersion `json:"client"`
	// Server is null when edged cannot be asked.
	Server *wire.SystemInfo `json:"server"`
}

type clientVersion struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) version() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "version", Short: "Show the versions of edgectl and edged", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show the versions of edgectl and edged. When edged cannot be asked, edgectl's own is
shown all the same, and the exit code says so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "text", "json")
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			v := versions{Client: clientVersion{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}}
			var asked error
			v.Server, asked = c.SystemInfo(cmd.Context())
			switch {
			case p.template != nil:
				err = p.execute(v)
			case format == "json":
				err = a.json(v)
			default:
				err = a.versionText(v)
			}
			if err != nil {
				return err
			}
			return asked
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json or a `template`")
	complete(cmd, "format", "text", "json")
	return cmd
}

func (a *app) versionText(v versions) error {
	text := fmt.Sprintf("edgectl  %s (%s, %s)\n", v.Client.Version, v.Client.Platform, v.Client.Go)
	if s := v.Server; s != nil {
		text += fmt.Sprintf("edged    %s (%s %s %s", printable(s.Version), printable(s.OSType), printable(s.KernelRelease), printable(s.Architecture))
		if s.ServerVersion != "" {
			text += ", " + printable(s.ServerVersion)
		}
		text += ")\n"
	}
	_, err := fmt.Fprint(a.out, text)
	return err
}
