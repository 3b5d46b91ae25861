package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/modulelog"
)

func (a *app) logs() *cobra.Command {
	var opt client.LogOptions
	cmd := &cobra.Command{
		Use: "logs NAME", Short: "Show what a module wrote", Args: oneModule, ValidArgsFunction: a.completeModules,
		Long: `Show what a module wrote to stdout and stderr, over all its restarts, byte for byte:
what it wrote for a terminal reaches yours.

A time is RFC 3339 (2026-01-02T15:04:05Z), seconds since 1970, or a duration before
now (30m, "1h 20m", "2 days").`,
		Example: `  edgectl logs -f --tail 20 thermometer
  edgectl logs -t --since "1 day" --until 1h thermometer`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkLogOptions(opt, a.now()); err != nil {
				return usageError{err}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			defer c.Close()
			log, err := c.Logs(cmd.Context(), names[0], opt)
			if err != nil {
				return err
			}
			defer log.Close()
			_, err = io.Copy(a.out, log)
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&opt.Follow, "follow", "f", false, "go on with what it writes, until it ends or edged is restarted")
	flags.StringVar(&opt.Tail, "tail", "all", "show only the last `N` lines")
	flags.StringVar(&opt.Since, "since", "", "show lines from this `time` on")
	flags.StringVar(&opt.Until, "until", "", "show lines up to this `time`")
	flags.BoolVarP(&opt.Timestamps, "timestamps", "t", false, "put the time before each line")
	complete(cmd, "tail", "all", "10", "100")
	complete(cmd, "since")
	complete(cmd, "until")
	return cmd
}

// checkLogOptions finds here what edged would find, but says it better than its 400.
func checkLogOptions(opt client.LogOptions, now time.Time) error {
	if _, err := modulelog.ParseTail(opt.Tail); err != nil {
		return err
	}
	return checkPeriod(opt.Since, opt.Until, now)
}

// checkPeriod looks at two times; empty is no limit.
func checkPeriod(since, until string, now time.Time) error {
	for _, t := range []string{since, until} {
		if t == "" {
			continue
		}
		if _, err := modulelog.ParseTime(t, now); err != nil {
			return err
		}
	}
	return nil
}
