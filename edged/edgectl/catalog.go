package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/catalog/modulemd"
	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func (a *app) catalog() *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalog", Short: "Show which builds there are, and what is inside them",
		Long: `Show the catalog: which builds this device knows, and what is inside them. edged itself
adds a build for every image that a module uses and every package that was brought, with
the packages that dpkg, apk or rpm has in an image; others come through the catalog's API.

A build's uid is name:stream:version:context; of edged's own the context is the beginning
of the digest. A build is active while a module uses it, or as its author said.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.catalogSearch(), a.catalogList(), a.catalogShow())
	return cmd
}

// match is a build that a search found, as a template sees it.
type match struct {
	wire.Build
	// Image is a name of the image, or of that which was made of the package; Digest is the
	// image's or the package's. Empty for what is not edged's to describe.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Modules are those that use it.
	Modules []string `json:"modules"`
	// Why are the packages in it, and what it needs, that were searched for.
	Why []string `json:"why"`
}

func (a *app) catalogSearch() *cobra.Command {
	var format string
	var components, packages, needs []string
	var active bool
	cmd := &cobra.Command{
		Use: "search", Short: "Find what contains a component", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Find the builds that contain a component or package, or need another build, and the
modules that are affected. A component is a source package: openssl is what libssl3 and
libcrypto3 are made of. Of a flag that is given more than once, one value is enough;
different flags have to hold together.

WHY are the packages and needs that were found. Of an image whose packages could not be read it
cannot be said that it is not affected: "edgectl catalog show" says why it could not.

A template is once a build, with the fields .UID .Name .Stream .Version .Context .Active
.KojiTag .RPMs .RuntimeDeps .BuildDeps .Image .Digest .Modules .Why.`,
		Example: `  edgectl catalog search --component openssl --active
  edgectl catalog search --package libssl3 --format '{{.Modules}} {{.Why}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			if len(components)+len(packages)+len(needs) == 0 {
				return usageError{errors.New("what for? give --component, --package or --needs")}
			}
			query := url.Values{"component_name": components, "component": packages, "runtime_dep_name": needs}
			if active {
				query.Set("active", "true")
			}
			return a.withClient(func(c *client.Client) error {
				images, err := c.Images(cmd.Context())
				if err != nil {
					return err
				}
				found := []match{}
				err = c.EachBuild(cmd.Context(), nonEmpty(query), func(b *wire.Build) error {
					found = append(found, matchOf(b, components, packages, needs, images))
					return nil
				})
				if err != nil {
					return err
				}
				return show(p, format, found, a.matchTable)
			})
		},
	}
	cmd.Flags().StringArrayVar(&components, "component", nil, "`name` of a source package")
	cmd.Flags().StringArrayVar(&packages, "package", nil, "`name` of a package")
	cmd.Flags().StringArrayVar(&needs, "needs", nil, "`name` of a build that is needed to run")
	cmd.Flags().BoolVar(&active, "active", false, "only what is in use")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	complete(cmd, "format", "table", "json")
	complete(cmd, "component")
	complete(cmd, "package")
	complete(cmd, "needs")
	return cmd
}

// nonEmpty leaves filters out that are not asked for: an empty one finds nothing.
func nonEmpty(query url.Values) url.Values {
	for name, values := range query {
		if len(values) == 0 {
			delete(query, name)
		}
	}
	return query
}

// matchOf says who uses a build and what of it was searched for, as far as its description
// tells: edged's own does.
func matchOf(b *wire.Build, components, packages, needs []string, images []wire.Image) match {
	m := match{Build: *b, Modules: []string{}, Why: []string{}}
	for _, d := range b.RuntimeDeps {
		if slices.Contains(needs, d.Dependency) {
			m.Why = append(m.Why, d.Dependency+":"+d.Stream)
		}
	}
	doc, err := modulemd.ParseOwn(b.ModuleMD)
	if err != nil || doc.Edge == nil {
		return m
	}
	m.Image, m.Digest = cmp.Or(doc.Edge.Reference, doc.Edge.Image), doc.Edge.Digest
	for _, i := range images {
		if b.Active && (i.Digest == m.Digest || doc.Edge.Image != "" && i.Name == doc.Edge.Image) {
			m.Modules = append(m.Modules, i.UsedBy...)
		}
	}
	slices.Sort(m.Modules)
	m.Modules = slices.Compact(m.Modules)
	for component, made := range doc.Edge.Components {
		for _, p := range made {
			name := p[:max(strings.LastIndexByte(p[:max(strings.LastIndexByte(p, '-'), 0)], '-'), 0)]
			if slices.Contains(components, component) || slices.Contains(packages, name) {
				m.Why = append(m.Why, p)
			}
		}
	}
	slices.Sort(m.Why)
	return m
}

func (a *app) matchTable(found []match) error {
	if len(found) == 0 {
		fmt.Fprintln(a.err, "edgectl: nothing in the catalog contains or needs that")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "MODULE\tBUILD\tACTIVE\tIMAGE\tWHY")
	for i := range found {
		m := &found[i]
		modules, image, why := "-", "-", "-"
		if len(m.Modules) > 0 {
			modules = strings.Join(m.Modules, ",")
		}
		if m.Image != "" {
			image = m.Image
		}
		if len(m.Why) > 0 {
			why = strings.Join(m.Why, " ")
		}
		fmt.Fprintf(w, "%s\t%s\t%t\t%s\t%s\n", printable(modules), printable(m.UID), m.Active, printable(image), printable(why))
	}
	return w.Flush()
}

func (a *app) catalogList() *cobra.Command {
	var format, name string
	var active bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the builds", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `List the builds, by uid, with how many packages each contains and builds it needs.

A template is once a build, with the fields .UID .Name .Stream .Version .Context .Active
.KojiTag .RPMs .RuntimeDeps and .BuildDeps.`,
		Example: `  edgectl catalog ls --active
  edgectl catalog ls --name debian --format '{{.UID}} {{len .RPMs}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			query := url.Values{"exclude_fields": {"modulemd"}}
			if active {
				query.Set("active", "true")
			}
			if name != "" {
				query.Set("name", name)
			}
			return a.withClient(func(c *client.Client) error {
				if p.template != nil {
					return c.EachBuild(cmd.Context(), query, func(b *wire.Build) error { return p.execute(b) })
				}
				all := []wire.Build{}
				if err := c.EachBuild(cmd.Context(), query, func(b *wire.Build) error {
					all = append(all, *b)
					return nil
				}); err != nil {
					return err
				}
				return show(p, format, all, a.buildsTable)
			})
		},
	}
	cmd.Flags().BoolVar(&active, "active", false, "only what is in use")
	cmd.Flags().StringVar(&name, "name", "", "only builds of this `name`, in any case")
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	complete(cmd, "format", "table", "json")
	complete(cmd, "name")
	return cmd
}

func (a *app) buildsTable(all []wire.Build) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	fmt.Fprintln(w, "BUILD\tACTIVE\tPACKAGES\tNEEDS")
	for i := range all {
		b := &all[i]
		fmt.Fprintf(w, "%s\t%t\t%d\t%d\n", printable(b.UID), b.Active, len(b.RPMs), len(b.RuntimeDeps))
	}
	return w.Flush()
}

func (a *app) catalogShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show UID", Short: "Show a build", ValidArgsFunction: cobra.NoFileCompletions,
		Args: usage(cobra.ExactArgs(1)),
		Long: `Show a build by its uid, and what it contains. --format modulemd prints its description
as it was written.

A template has the fields of "edgectl catalog list", and .ModuleMD.`,
		Example: `  edgectl catalog show debian:12.4:20240110000000:1a2b3c4d
  edgectl catalog show debian:12.4:20240110000000:1a2b3c4d --format modulemd`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.printer(format, "table", "json", "modulemd")
			if err != nil {
				return err
			}
			if args[0] == "" {
				return usageError{errors.New("the uid is empty")}
			}
			return a.withClient(func(c *client.Client) error {
				b, err := c.Build(cmd.Context(), args[0])
				switch {
				case err != nil:
					return fmt.Errorf("cannot show build %q: %w", args[0], err)
				case p.template != nil:
					return p.execute(&b)
				case format == "json":
					return a.json(b)
				case format == "modulemd":
					_, err := fmt.Fprintln(a.out, printableText(b.ModuleMD))
					return err
				}
				return a.buildTable(&b)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json, modulemd or a `template`")
	complete(cmd, "format", "table", "json", "modulemd")
	return cmd
}

func (a *app) buildTable(b *wire.Build) error {
	w := tabwriter.NewWriter(a.out, 8, 0, 3, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, printable(value)) }
	line("UID", b.UID)
	line("ACTIVE", fmt.Sprint(b.Active))
	line("KOJI TAG", b.KojiTag)
	if doc, err := modulemd.ParseOwn(b.ModuleMD); err == nil && doc.Edge != nil {
		line("IMAGE", cmp.Or(doc.Edge.Reference, doc.Edge.Image))
		line("DIGEST", doc.Edge.Digest)
		line("ARCHITECTURE", doc.Edge.Arch)
		if doc.Edge.Unread != "" {
			line("PACKAGES UNKNOWN", doc.Edge.Unread)
		}
	}
	for _, l := range []struct {
		name string
		deps []wire.BuildDep
	}{{"NEEDS", b.RuntimeDeps}, {"BUILT WITH", b.BuildDeps}} {
		for _, d := range l.deps {
			line(l.name, d.Dependency+":"+d.Stream)
		}
	}
	for _, p := range b.RPMs {
		line("PACKAGE", strings.TrimSuffix(p, ".rpm"))
	}
	return w.Flush()
}
