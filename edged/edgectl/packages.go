package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) packages() *cobra.Command {
	cmd := &cobra.Command{
		Use: "package", Aliases: []string{"packages"}, Short: "Bring packages onto the device, and remove them",
		Long: `Bring packages onto the device, and remove them. A package is a Redis module (a RAMP
archive), or a container image in an archive (an OCI layout or what "docker save" writes;
tar, gzip or zstd). edged looks at all of it before it is there, and makes an image of it
that a module names with the pull policy "never".

A package is named by its uid, the beginning of one, or NAME:VERSION as the list shows it.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.packageList(), a.packagePush(), a.packageRemove(), a.packageInspect())
	return cmd
}

func (a *app) packageList() *cobra.Command {
	l := listing[wire.PackageModule]{
		name: func(p *wire.PackageModule) string { return p.UID }, table: a.packageTable,
		get: func(ctx context.Context, c *client.Client) ([]wire.PackageModule, error) { return c.Packages(ctx) },
	}
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the packages", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List all packages, by name and version, with the image that a module names. An image that
is not made yet has "(pending)" behind it; "edgectl package inspect" says why.

A template is once a package, with the fields of the API: .UID .ModuleName .SemanticVersion
.Version .SHA256 .OS .Architecture and so on, and .Edged.Format .Edged.Size .Edged.Image
.Edged.ImagePending .Edged.SignedBy .Edged.Created.`,
		Example: `  edgectl package list
  edgectl package list --format '{{.ModuleName}} {{.Edged.Image}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(a, cmd) },
	}
	l.flags(cmd, "uids alone")
	return cmd
}

func (a *app) packageTable(all []wire.PackageModule) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "UID\tNAME\tVERSION\tFORMAT\tSIZE\tIMAGE\tSIGNED BY\tCREATED")
	for i := range all {
		p := &all[i]
		image, signed, created := p.Edged.Image, p.Edged.SignedBy, "-"
		switch {
		case image == "":
			image = "-"
		case p.Edged.ImagePending != "":
			image += " (pending)"
		}
		if signed == "" {
			signed = "-"
		}
		if d, ok := age(p.Edged.Created, a.now()); ok {
			created = d + " ago"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(p.UID[:min(12, len(p.UID))]), printable(p.ModuleName), printable(p.SemanticVersion),
			printable(p.Edged.Format), units.BytesSize(float64(p.Edged.Size)), printable(image), printable(signed), created)
	}
	return w.Flush()
}

// findPackage finds the one that a person means.
func findPackage(all []wire.PackageModule, name string) (*wire.PackageModule, error) {
	var found []*wire.PackageModule
	for i := range all {
		p := &all[i]
		switch {
		case p.UID == name:
			return p, nil
		case len(name) >= 4 && strings.HasPrefix(p.UID, name), p.ModuleName+":"+p.SemanticVersion == name, p.Edged.Image == name && name != "", p.ModuleName == name:
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no such package (edgectl package list shows them): %w", errdefs.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return nil, usageError{fmt.Errorf("%d packages are called so: name one by its uid (edgectl package list shows them)", len(found))}
}

func somePackages(_ *cobra.Command, names []string) error {
	if len(names) == 0 || slices.Contains(names, "") {
		return usageError{errors.New("which package? name at least one (edgectl package list shows them)")}
	}
	return nil
}

func (a *app) packageRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME...", Aliases: []string{"remove"}, Short: "Remove packages and their images", Args: somePackages, ValidArgsFunction: a.completePackages,
		Long: `Remove packages, their images and their bytes, for good. One that a module uses, running
or not, is refused. The uids of those for which it worked go to stdout.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withClient(func(c *client.Client) error {
				all, err := c.Packages(cmd.Context())
				if err != nil {
					return err
				}
				return a.each(names, func(name string) error {
					p, err := findPackage(all, name)
					if err != nil {
						return err
					}
					if err := c.RemovePackage(cmd.Context(), p.UID); err != nil {
						return err
					}
					_, err = fmt.Fprintln(a.out, printable(p.UID))
					return err
				})
			})
		},
	}
}

func (a *app) packageInspect() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "inspect NAME...", Short: "Show all that is known of packages", Args: somePackages, ValidArgsFunction: a.completePackages,
		Long: `Show packages as a JSON array, in the shape of the API. Those that are there are shown
even when others are not.

A template is once a package, with the fields that "edgectl package list --help" names.`,
		Example: `  edgectl package inspect ft:1.2.2
  edgectl package inspect --format '{{.Edged.Image}}' ft`,
		RunE: func(cmd *cobra.Command, names []string) error {
			p, err := a.printer(format, "json")
			if err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				all, err := c.Packages(cmd.Context())
				if err != nil {
					return err
				}
				var found []wire.PackageModule
				missing := a.each(names, func(name string) error {
					one, err := findPackage(all, name)
					if err == nil {
						found = append(found, *one)
					}
					return err
				})
				if len(found) > 0 {
					if err := show(p, format, found, nil); err != nil {
						return err
					}
				}
				return missing
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json or a `template`")
	complete(cmd, "format", "json")
	return cmd
}

// completePackages completes uids, with what they are beside them.
func (a *app) completePackages(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return fromEdged(a, args, (*client.Client).Packages, func(p *wire.PackageModule) (name, about string) {
		return p.UID, p.ModuleName + ":" + p.SemanticVersion
	})
}
