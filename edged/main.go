// Command edged is the security daemon of an edge device: see ARCHITECTURE.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/catalog/inventory"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/listen"
)

// version is set by the build.
var version = "0.0.0-dev"

// defaultConfig may be missing; a file that --config names may not.
const defaultConfig = "/etc/edged/config.toml"

func main() {
	// Samples of allocations are kept once somebody asks for them: mgmt/profiles.go.
	runtime.MemProfileRate = 0
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		_, _ = os.Stderr.Write(lastWords(err, stderrIsJournal()))
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == inventory.Argument {
		return inventory.Serve() // edged starts itself so, as nobody: no flag for people
	}
	flags := flag.NewFlagSet("edged", flag.ContinueOnError)
	file := flags.String("config", defaultConfig, "configuration `file`")
	level := flags.String("log-level", "", "error, warn, info or debug (default: log_level of the configuration)")
	showVersion := flags.Bool("version", false, "print the version and exit")
	check := flags.Bool("check-config", false, "check the configuration and exit")
	newKeys := flags.Bool("new-keys", false, "give up the device's keys and all they protect, so that the next start makes new ones, and exit")
	schema := flags.Bool("schema", false, "print the newest schemas of the database and the catalog that this program knows, and exit")
	backup := flags.String("backup-database", "", "write a consistent copy of the database to `file` and of the catalog beside it, print their schemas, and exit; edged may be running")
	recoverAgent := flags.Bool("recover-agent", false, "let the next start make edgeAgent anew from the configuration, and exit")
	end := flags.Bool("end-modules", false, "end all modules, which outlive edged, and exit; the next start runs them again")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *showVersion {
		fmt.Println("edged", version)
		return nil
	}
	if *schema {
		return printSchema(os.Stdout)
	}
	// First of all: no child may inherit these sockets.
	activation, err := listen.FromEnvironment()
	if err != nil {
		return err
	}
	notifier, err := listen.NewNotifier()
	if err != nil {
		return err
	}
	cfg, err := config.Load(*file)
	if err != nil {
		return err
	}
	if *check {
		fmt.Println("configuration is fine")
		return nil
	}
	if *backup != "" {
		return backUp(context.Background(), cfg, *backup, os.Stdout, os.Stderr)
	}
	if *recoverAgent {
		return forgetAgent(context.Background(), cfg)
	}
	if *end {
		return endModules(context.Background(), cfg)
	}
	if *newKeys {
		return giveUpKeys(context.Background(), cfg, os.Stdout)
	}
	log := logrus.New()
	log.SetFormatter(formatter())
	parsed, err := parseLevel(cmp.Or(*level, cfg.LogLevel))
	if err != nil {
		return err
	}
	log.SetLevel(parsed)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	// Before anything is made: a reload that comes while edged starts, or at once after, would end it.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	d, err := newDaemon(ctx, *file, cfg, activation, notifier, log)
	if err != nil {
		return err
	}
	for {
		select {
		case <-hup:
			_ = d.reload() // it has said what is wrong
		case err := <-d.failed:
			d.close()
			return err
		case <-ctx.Done():
			cancel() // a second signal ends edged at once
			d.close()
			return nil
		}
	}
}
