package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
)

// listing is a command that lists what edged has: as a table, as JSON, by a template, or the
// names alone.
type listing[T any] struct {
	get   func(ctx context.Context, c *client.Client) ([]T, error)
	name  func(*T) string
	table func([]T) error

	format string
	quiet  bool
}

// flags gives the command its flags. quiet says what --quiet shows.
func (l *listing[T]) flags(cmd *cobra.Command, quiet string) {
	cmd.Flags().StringVar(&l.format, "format", "table", "table, json or a `template`")
	cmd.Flags().BoolVarP(&l.quiet, "quiet", "q", false, quiet)
	complete(cmd, "format", "table", "json")
}

func (l *listing[T]) run(a *app, cmd *cobra.Command) error {
	if l.quiet && cmd.Flags().Changed("format") {
		return usageError{errors.New("--quiet and --format exclude each other")}
	}
	p, err := a.printer(l.format, "table", "json")
	if err != nil {
		return err
	}
	return a.withClient(func(c *client.Client) error {
		all, err := l.get(cmd.Context(), c)
		if err != nil {
			return err
		}
		if !l.quiet {
			return show(p, l.format, all, l.table)
		}
		for i := range all {
			if _, err := fmt.Fprintln(a.out, printable(l.name(&all[i]))); err != nil {
				return err
			}
		}
		return nil
	})
}
