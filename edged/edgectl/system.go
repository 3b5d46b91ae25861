package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/config"
)

// unitNames are edged's, the service first.
var unitNames = []string{"edged.service", "edged.mgmt.socket", "edged.workload.socket"}

func (a *app) system() *cobra.Command {
	cmd := &cobra.Command{
		Use: "system", Short: "Show and steer edged itself", Args: usage(cobra.NoArgs),
		Long: `Show and steer edged itself, where systemd runs it. Modules go on running whatever is
done to edged.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.systemStatus(), a.systemRestart(), a.systemLogs(), a.setLogLevel())
	return cmd
}

func (a *app) systemStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether edged runs", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show edged's units, and whether it answers. A service that was stopped is not asked,
since a call would start it. The exit code is 5 when it does not answer or was not
asked. "edgectl check" looks for the cause.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 20*time.Second)
			defer cancel()
			stopped := false
			for _, unit := range unitNames {
				state, err := systemctlSays(ctx, "is-active", unit)
				if err != nil {
					fmt.Fprintf(a.err, "edgectl: %v\n", err)
					break
				}
				enabled, err := systemctlSays(ctx, "is-enabled", unit)
				if err != nil {
					enabled = "unknown"
				}
				code := red
				if state == "active" {
					code = green
				}
				fmt.Fprintf(a.out, "%-22s %s, %s\n", unit, a.colour(code, printable(state)), printable(enabled))
				stopped = stopped || unit == unitNames[0] && state == "inactive"
			}
			if stopped && a.host == "" && os.Getenv(client.HostVariable) == "" {
				fmt.Fprintln(a.err, "edgectl: edged is stopped and was not asked: any call starts it, as does systemctl start edged; modules run all the same")
				return reported{exitUnreachable}
			}
			return a.withClient(func(c *client.Client) error {
				info, err := c.SystemInfo(ctx)
				if err != nil {
					return err
				}
				used, err := c.List(ctx)
				if err != nil {
					return err
				}
				running := 0
				for _, m := range used {
					if m.Status.RuntimeStatus.Status == "running" {
						running++
					}
				}
				server := info.ServerVersion
				if server == "" {
					server = "containerd does not answer"
				}
				_, err = fmt.Fprintf(a.out, "edged %s answers; %s; %d of %d modules run\n", printable(info.Version), printable(server), running, len(used))
				return err
			})
		},
	}
}

// systemctlSays returns the word of a query, which is also there when its exit code is
// not 0: "inactive".
func systemctlSays(ctx context.Context, args ...string) (string, error) {
	path, err := exec.LookPath("systemctl")
	if err != nil {
		return "", errors.New("there is no systemd here to ask")
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	word := string(out)
	for len(word) > 0 && word[len(word)-1] == '\n' {
		word = word[:len(word)-1]
	}
	var exit *exec.ExitError
	if word == "" && err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("cannot run systemctl: %w", err)
	}
	if word == "" {
		word = "unknown"
	}
	return word, nil
}

func (a *app) systemRestart() *cobra.Command {
	return &cobra.Command{
		Use: "restart", Short: "Restart edged; modules go on running", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Restart edged, which has to be done by root. Modules go on running, and requests that
come meanwhile wait for the new one. With a configuration with which edged would not
start, the one that runs is left alone.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := config.Load(config.DefaultFile); err != nil && !errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("not restarted, since edged would not start: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Minute)
			defer cancel()
			if err := a.pass(ctx, "systemctl", "restart", unitNames[0]); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				info, err := c.SystemInfo(ctx)
				if err == nil {
					_, err = fmt.Fprintf(a.out, "edged %s answers\n", printable(info.Version))
				}
				return err
			})
		},
	}
}

func (a *app) systemLogs() *cobra.Command {
	var follow bool
	var lines int
	var since, until string
	cmd := &cobra.Command{
		Use: "logs", Short: "Show edged's own log", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Show edged's own log, its audit trail in it, from the journal. Times are journalctl's:
"2026-01-02 15:04", yesterday, -1h.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 0 {
				return usageError{fmt.Errorf("invalid --tail %d: it is a number of lines, or 0 for all", lines)}
			}
			args := []string{"--unit=" + unitNames[0], "--no-pager"}
			if lines > 0 {
				args = append(args, "--lines="+strconv.Itoa(lines))
			}
			if follow {
				args = append(args, "--follow")
			}
			if since != "" {
				args = append(args, "--since="+since)
			}
			if until != "" {
				args = append(args, "--until="+until)
			}
			return a.pass(cmd.Context(), "journalctl", args...)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what it writes")
	cmd.Flags().IntVarP(&lines, "tail", "n", 0, "show only the last `N` lines (0: all)")
	cmd.Flags().StringVar(&since, "since", "", "show lines from this `time` on")
	cmd.Flags().StringVar(&until, "until", "", "show lines up to this `time`")
	return cmd
}

// pass runs one of the host's programs with this one's output.
func (a *app) pass(ctx context.Context, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("cannot run %s: it is not here; this command is for systems with systemd", name)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = a.out, a.err, time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return reported{exitFailed} // it said why
	}
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", name, err)
	}
	return nil
}

func (a *app) setLogLevel() *cobra.Command {
	levels := []string{"error", "warn", "info", "debug"}
	return &cobra.Command{
		Use: "set-log-level LEVEL", Short: "Change what edged logs", Args: usage(cobra.ExactArgs(1)), ValidArgs: levels,
		Long: `Change what edged logs, to error, warn, info or debug, until it is restarted.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				before, err := c.SetLogLevel(cmd.Context(), args[0])
				if err == nil {
					_, err = io.WriteString(a.out, printable(before)+" -> "+printable(args[0])+"\n")
				}
				return err
			})
		},
	}
}
