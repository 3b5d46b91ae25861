//go:build docs

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// This file is linked into the program that `make docs` runs, and into no other: the
// generator of man pages would cost every device its size.

// docs writes man pages and completions into a folder.
func (a *app) docs() []*cobra.Command {
	return []*cobra.Command{{
		Use: "docs DIR", Hidden: true, Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			root.InitDefaultCompletionCmd()
			man := filepath.Join(args[0], "man")
			if err := os.MkdirAll(man, 0o755); err != nil {
				return err
			}
			// The time is the version's, so that the same source gives the same pages.
			date := time.Unix(0, 0).UTC()
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "edged " + version, Manual: "edged", Date: &date}, man); err != nil {
				return fmt.Errorf("cannot write man pages: %w", err)
			}
			completions := filepath.Join(args[0], "completions")
			for shell, write := range map[string]func(string) error{
				"bash/edgectl":      func(f string) error { return root.GenBashCompletionFileV2(f, true) },
				"zsh/_edgectl":      root.GenZshCompletionFile,
				"fish/edgectl.fish": func(f string) error { return root.GenFishCompletionFile(f, true) },
			} {
				file := filepath.Join(completions, shell)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return err
				}
				if err := write(file); err != nil {
					return fmt.Errorf("cannot write completion for %s: %w", strings.Split(shell, "/")[0], err)
				}
			}
			return nil
		},
	}}
}
