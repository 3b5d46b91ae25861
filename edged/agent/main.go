// Command edged-agent is the reference edgeAgent: it makes the device match a
// deployment manifest, through the management API alone. It needs no right on the
// device but that its socket is edgeAgent's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/edged/agent/reconcile"
	"github.com/edged/edged/pkg/client"
)

// version is set by the build.
var version = "0.0.0-dev"

// healthyVariable says how long a module has to become healthy before the deployment that
// changed it is given up.
const healthyVariable = "EDGED_AGENT_HEALTHY_WITHIN"

// Folders as edged mounts them into the module edgeAgent.
const (
	desiredFolder = "/var/lib/edged-agent/desired"
	statusFolder  = "/var/lib/edged-agent/status"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "edged-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string) error {
	flags := flag.NewFlagSet("edged-agent", flag.ContinueOnError)
	desired := flags.String("desired", desiredFolder, "`folder` of deployment.json and secrets.json")
	status := flags.String("status", statusFolder, "`folder` of status.json and of what the agent remembers")
	host := flags.String("host", "", "management `socket` (default: EDGED_MANAGEMENTURI, else IOTEDGE_MANAGEMENTURI)")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *showVersion {
		fmt.Println("edged-agent", version)
		return nil
	}
	for _, name := range []string{"EDGED_MANAGEMENTURI", "IOTEDGE_MANAGEMENTURI"} {
		if *host == "" {
			*host = getenv(name)
		}
	}
	c, err := client.New(*host)
	if err != nil {
		return err
	}
	defer c.Close()
	log := logrus.New()
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: true})
	log.Infof("edged-agent %s: manifest in %s, edged at %s", version, *desired, c.Host())
	times, err := timesOf(getenv)
	if err != nil {
		return err
	}
	var changes <-chan struct{}
	if watched, end, err := watch(*desired); err == nil {
		defer end()
		changes = watched
	} else {
		log.WithError(err).Warnf("a new manifest is seen within %s", refreshEvery)
	}
	newAgent(settings{desired: *desired, status: *status, api: c, times: times, lookup: lookupEnv, log: log}).run(ctx, changes)
	return nil
}

// timesOf reads what an operator sets in [agent] env.
func timesOf(getenv func(string) string) (reconcile.Times, error) {
	var times reconcile.Times
	text := getenv(healthyVariable)
	if text == "" {
		return times, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 24*time.Hour {
		return times, fmt.Errorf("%s is %q, not a time from 1s to 24h, as 5m", healthyVariable, text)
	}
	times.Healthy = d
	return times, nil
}
