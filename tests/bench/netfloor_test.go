package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/netns"
	"github.com/containerd/containerd/v2/pkg/oci"
	gocni "github.com/containerd/go-cni"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/edged/edged/tests/device"
)

// netFloorEnv makes the test binary the floor of networks.
const netFloorEnv = "EDGED_BENCH_NETFLOOR"

type netFloorConfig struct{ Address, Namespace, Root string }

// netFloorConf is what nerdctl and others make of the same plugins.
const netFloorConf = `{"cniVersion":"1.0.0","name":"floor","plugins":[
	{"type":"bridge","bridge":"floor0","isGateway":true,"ipMasq":true,"hairpinMode":true,
	 "ipam":{"type":"host-local","dataDir":%q,"routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"172.31.0.0/16"}]]}},
	{"type":"portmap","capabilities":{"portMappings":true}},
	{"type":"firewall"}]}`

// netLife does straight with containerd's client and go-cni what a module's life takes.
type netLife struct {
	netFloorConfig
	ctx    context.Context
	client *client.Client
	cni    gocni.CNI
	image  client.Image
	spec   *oci.Spec
	made   int
	task   client.Task // of restart
	host   client.Container
	undo   func()
}

func serveNetFloor(config string) {
	f := &netLife{}
	fatal(json.Unmarshal([]byte(config), &f.netFloorConfig))
	fatal(f.open())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		do := f.cycle
		if in.Text() == "restart" {
			do = f.restart
		}
		took, err := do()
		fatal(err)
		b, err := json.Marshal(took)
		fatal(err)
		fmt.Println(string(b))
	}
	if f.undo != nil {
		f.undo()
	}
}

func (f *netLife) open() (err error) {
	f.ctx = namespaces.WithNamespace(context.Background(), f.Namespace)
	if f.client, err = client.New(f.Address, client.WithDefaultNamespace(f.Namespace)); err != nil {
		return err
	}
	models, err := f.client.Containers(f.ctx, `labels."io.edged.module"==model`)
	if err != nil || len(models) != 1 {
		return fmt.Errorf("no model: %w", err)
	}
	if f.spec, err = models[0].Spec(f.ctx); err != nil {
		return err
	}
	if f.image, err = f.client.GetImage(f.ctx, device.Image); err != nil {
		return err
	}
	f.cni, err = gocni.New(gocni.WithPluginDir([]string{"/usr/lib/cni", "/opt/cni/bin"}), gocni.WithInterfacePrefix("eth"),
		gocni.WithConfListBytes(fmt.Appendf(nil, netFloorConf, filepath.Join(f.Root, "floorleases"))))
	return err
}

func timed(steps ...func() error) (took []int64, err error) {
	for _, step := range steps {
		began := time.Now()
		if err := step(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Nanoseconds())
	}
	return took, nil
}

func (f *netLife) cycle() ([]int64, error) {
	f.made++
	id := fmt.Sprintf("netfloor-%d", f.made)
	var ns *netns.NetNS
	var container client.Container
	var task client.Task
	var exited <-chan client.ExitStatus
	return timed(
		func() (err error) {
			ns, container, err = f.create(id)
			return err
		},
		func() (err error) {
			task, exited, err = f.start(container)
			return err
		},
		func() error { return stop(f.ctx, task, exited) },
		func() error { return f.remove(id, ns, container, task) },
	)
}

func (f *netLife) create(id string) (*netns.NetNS, client.Container, error) {
	ns, err := netns.NewNetNS(filepath.Join(f.Root, "floorns"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := f.cni.Setup(f.ctx, id, ns.GetPath()); err != nil {
		return nil, nil, err
	}
	spec, linux := *f.spec, *f.spec.Linux
	linux.CgroupsPath = filepath.Join("/", f.Namespace, id)
	linux.Namespaces = slices.Clone(linux.Namespaces)
	for i := range linux.Namespaces {
		if linux.Namespaces[i].Type == specs.NetworkNamespace {
			linux.Namespaces[i].Path = ns.GetPath()
		}
	}
	spec.Linux = &linux
	container, err := f.client.NewContainer(f.ctx, id, client.WithNewSnapshot(id, f.image), client.WithNewSpec(
		oci.WithImageConfig(f.image), func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
			*s = spec
			return nil
		}), client.WithRuntime("io.containerd.runc.v2", &runcoptions.Options{}))
	return ns, container, err
}

func (f *netLife) start(container client.Container) (client.Task, <-chan client.ExitStatus, error) {
	uri, err := cio.LogURIGenerator("binary", program("edged-logger"), map[string]string{
		"--dir": filepath.Join(f.Root, "floor", container.ID()), "--max-size": "10000000", "--max-file": "3",
	})
	if err != nil {
		return nil, nil, err
	}
	task, err := container.NewTask(f.ctx, cio.LogURI(uri))
	if err != nil {
		return nil, nil, err
	}
	exited, err := task.Wait(f.ctx)
	if err != nil {
		return nil, nil, err
	}
	return task, exited, task.Start(f.ctx)
}

func stop(ctx context.Context, task client.Task, exited <-chan client.ExitStatus) error {
	if err := task.Kill(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	<-exited
	return nil
}

func (f *netLife) remove(id string, ns *netns.NetNS, container client.Container, task client.Task) error {
	if _, err := task.Delete(f.ctx); err != nil {
		return err
	}
	if err := container.Delete(f.ctx, client.WithSnapshotCleanup); err != nil {
		return err
	}
	if err := f.cni.Remove(f.ctx, id, ns.GetPath()); err != nil {
		return err
	}
	if err := ns.Remove(); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(f.Root, "floor", id))
}

// restart ends a task and makes it anew in the same container and namespace.
func (f *netLife) restart() ([]int64, error) {
	if f.task == nil {
		ns, container, err := f.create("netfloor-restart")
		if err != nil {
			return nil, err
		}
		if f.task, _, err = f.start(container); err != nil {
			return nil, err
		}
		f.host = container
		f.undo = func() {
			exited, err := f.task.Wait(f.ctx)
			fatal(err)
			fatal(stop(f.ctx, f.task, exited))
			fatal(f.remove("netfloor-restart", ns, container, f.task))
		}
	}
	return timed(func() error {
		exited, err := f.task.Wait(f.ctx)
		if err != nil {
			return err
		}
		if err := stop(f.ctx, f.task, exited); err != nil {
			return err
		}
		if _, err := f.task.Delete(f.ctx); err != nil {
			return err
		}
		f.task, _, err = f.start(f.host)
		return err
	})
}
