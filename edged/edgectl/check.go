package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/edged/edgectl/check"
	"github.com/edged/edged/pkg/config"
)

func (a *app) check() *cobra.Command {
	var format, file string
	var strict, list bool
	cmd := &cobra.Command{
		Use: "check [ID...]", Short: "Look for what keeps edged or its modules from working",
		Long: `Look for what keeps edged or its modules from working: all of it, or the checks that
are named. Each has an id, finds ok, warning or error, and says what to do about it;
skipped is what cannot be judged while another fault is there or the caller may not
look. Nothing is changed. As root it sees the most.

The exit code is 1 when there is an error, or with --strict a warning.

A template is once a check, with the fields .ID .About .Status .Found and .Cure.`,
		Example: `  edgectl check
  edgectl check containerd kernel cgroups
  edgectl check --format json | jq -r '.[] | select(.status == "error") | .id'`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var all []cobra.Completion
			for _, c := range check.All() {
				all = append(all, cobra.CompletionWithDesc(c.ID, c.About))
			}
			return all, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.printer(format, "table", "json")
			if err != nil {
				return err
			}
			if list {
				return show(p, format, check.All(), func(all []check.Result) error {
					for _, c := range all {
						fmt.Fprintf(a.out, "%-18s %s\n", c.ID, c.About)
					}
					return nil
				})
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			results, err := check.Run(cmd.Context(), check.Config{
				Client: c, File: file, Root: "/", Version: version, Now: a.now(), Built: built(), UID: os.Getuid(), Synchronised: check.Synchronised,
			}, args...)
			if err != nil {
				return usageError{err}
			}
			if err := show(p, format, results, a.checkTable); err != nil {
				return err
			}
			return verdict(results, strict)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json or a `template`")
	cmd.Flags().StringVarP(&file, "config", "c", config.DefaultFile, "edged's configuration `file`")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 on warnings too")
	cmd.Flags().BoolVar(&list, "list", false, "list the checks, and make none")
	complete(cmd, "format", "table", "json")
	return cmd
}

// built is when this program was made: packages keep the time of its file.
func built() time.Time {
	exe, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	st, err := os.Stat(exe)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func verdict(results []check.Result, strict bool) error {
	for _, r := range results {
		if r.Status == check.Error || strict && r.Status == check.Warning {
			return reported{exitFailed}
		}
	}
	return nil
}

var checkColours = map[check.Status]string{check.OK: green, check.Warning: yellow, check.Error: red, check.Skipped: grey}

func (a *app) checkTable(results []check.Result) error {
	count := map[check.Status]int{}
	for _, r := range results {
		count[r.Status]++
		fmt.Fprintf(a.out, "%s  %-18s %s\n", a.colour(checkColours[r.Status], fmt.Sprintf("%-7s", r.Status)), r.ID, printable(r.Found))
		if r.Cure != "" {
			fmt.Fprintf(a.out, "         %-18s -> %s\n", "", printable(r.Cure))
		}
	}
	var sum []string
	for _, s := range []check.Status{check.OK, check.Warning, check.Error, check.Skipped} {
		if n := count[s]; n > 0 {
			sum = append(sum, fmt.Sprintf("%d %s", n, s))
		}
	}
	checks := "checks"
	if len(results) == 1 {
		checks = "check"
	}
	_, err := fmt.Fprintf(a.out, "\n%d %s: %s\n", len(results), checks, strings.Join(sum, ", "))
	return err
}
