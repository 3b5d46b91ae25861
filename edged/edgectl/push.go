package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/pack"
)

// signatureSuffix is what minisign adds to the name of what it signs.
const signatureSuffix = ".minisig"

// packageSuffixes are what files in a folder are told to be packages by.
var packageSuffixes = []string{".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"}

func (a *app) packagePush() *cobra.Command {
	var signature string
	var skip, quiet bool
	cmd := &cobra.Command{
		Use: "push FILE|FOLDER...", Short: "Bring packages onto the device",
		Long: `Bring packages onto the device, from files or from all packages (` + strings.Join(packageSuffixes, ", ") + `)
that are in a folder, by name. Of several, those that fail are said and the others are
brought all the same. Dependencies of a package are fetched by edged.

A signature in minisign's format goes along when FILE` + signatureSuffix + ` is beside FILE, or --signature
names it. The uid, name, version and image of each package go to stdout; on a terminal,
progress goes to stderr.`,
		Example: `  edgectl package push redisearch.zip
  docker save example.com/app:1.2 | gzip > app.tgz && edgectl package push app.tgz
  edgectl package push --skip-existing /media/usb/packages`,
		Args: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 || slices.Contains(files, "") {
				return usageError{errors.New("which package? name a file or a folder")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			files, err := packageFiles(names)
			if err != nil {
				return err
			}
			if signature != "" && len(files) != 1 {
				return usageError{fmt.Errorf("--signature is of one file, and here are %d", len(files))}
			}
			return a.withClient(func(c *client.Client) error {
				return a.each(files, func(file string) error {
					return a.push(cmd.Context(), c, file, signature, skip, quiet)
				})
			})
		},
	}
	cmd.Flags().StringVar(&signature, "signature", "", "`file` with the signature (default: FILE"+signatureSuffix+", if there is one)")
	cmd.Flags().BoolVar(&skip, "skip-existing", false, "pass over what is on the device already by its name and version")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

// packageFiles are the files that names mean: folders stand for the packages in them.
func packageFiles(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.IsDir() {
			all = append(all, name) // that it is not there is said when its turn comes
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read folder: %w", err)
		}
		before := len(all)
		for _, e := range entries {
			if slices.ContainsFunc(packageSuffixes, func(s string) bool { return strings.HasSuffix(strings.ToLower(e.Name()), s) }) {
				all = append(all, filepath.Join(name, e.Name()))
			}
		}
		if len(all) == before {
			return nil, fmt.Errorf("there is no package in %s (%s)", name, strings.Join(packageSuffixes, ", "))
		}
	}
	return all, nil
}

func (a *app) push(ctx context.Context, c *client.Client, file, signature string, skip, quiet bool) error {
	f, info, err := openUpload(file)
	if err != nil {
		return err
	}
	defer f.Close()
	p := client.Package{Body: f, Size: info.Size(), Name: filepath.Base(file)}
	if p.Signature, err = readSignature(file, signature); err != nil {
		return err
	}
	progress := a.bar(filepath.Base(file), info.Size())
	report := progress.show
	if quiet {
		report = nil
	}
	got, err := c.PushPackage(ctx, p, report)
	progress.end()
	if skip && client.IsPackageExists(err) {
		fmt.Fprintf(a.err, "%s: passed over: %s\n", printable(file), printable(err.Error()))
		return nil
	}
	if err != nil {
		return err
	}
	image := got.Edged.Image
	if image == "" {
		image = "-"
	}
	if got.Edged.ImagePending != "" {
		fmt.Fprintf(a.err, "%s: its image is not made yet: %s\n", printable(file), printable(got.Edged.ImagePending))
	}
	_, err = fmt.Fprintf(a.out, "%s %s %s %s\n", printable(got.UID), printable(got.ModuleName), printable(got.SemanticVersion), printable(image))
	return err
}

func openUpload(file string) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(file) //nolint:gosec // the operator's
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("cannot read file: %w", err)
	}
	return f, info, nil
}

// readSignature reads a signature from where it is named or, with no name, from beside the
// package; nil when there is none.
func readSignature(file, signature string) ([]byte, error) {
	beside := signature == ""
	if beside {
		signature = file + signatureSuffix
	}
	f, err := os.Open(signature) //nolint:gosec // the operator's
	if beside && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read signature: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, pack.MaxSignature+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read signature: %w", err)
	}
	return text, nil
}
