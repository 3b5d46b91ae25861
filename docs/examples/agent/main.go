// Command agent is a small edgeAgent: it makes the modules of a device those of a file,
// which is a JSON array of module specs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/edged/edged/pkg/client"
	"github.com/edged/edged/pkg/client/wire"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	edged, err := client.New(os.Getenv("EDGED_MANAGEMENTURI"))
	if err != nil {
		log.Fatal(err)
	}
	for ctx.Err() == nil {
		if err := match(ctx, edged, "/var/lib/edged-agent/desired/deployment.json"); err != nil {
			log.Print(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// match makes the device as the file has it, and says what it could not do.
func match(ctx context.Context, edged *client.Client, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var wanted []wire.ModuleSpec
	if err := json.Unmarshal(text, &wanted); err != nil {
		return err // nothing is changed for a file that is wrong
	}
	have, err := edged.List(ctx)
	if err != nil {
		return err
	}
	there := map[string]wire.Module{}
	for _, m := range have {
		there[m.Name] = m
	}
	for _, w := range wanted {
		is, ok := there[w.Name]
		delete(there, w.Name)
		switch {
		case !ok:
			_, e := edged.Create(ctx, w) // fetches the image
			err = errors.Join(err, e)
		case is.Config.Settings.Image != w.Config.Settings.Image || !reflect.DeepEqual(is.Config.Env, w.Config.Env):
			_, e := edged.Update(ctx, w, true) // goes back by itself when the new one does not start
			err = errors.Join(err, e)
			continue
		}
		if is.Status.RuntimeStatus.Status != "running" {
			err = errors.Join(err, edged.Start(ctx, w.Name))
		}
	}
	for name := range there {
		if name != "edgeAgent" {
			err = errors.Join(err, edged.Delete(ctx, name))
		}
	}
	return err
}
