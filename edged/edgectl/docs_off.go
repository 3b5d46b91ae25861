//go:build !docs

package main

import "github.com/spf13/cobra"

func (a *app) docs() []*cobra.Command { return nil }
