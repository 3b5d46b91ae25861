package operators

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

func TestADeviceComesBackFromItsBackup(t *testing.T) {
	o := newOperator(t)
	o.apply(0, o.manifest(waiting("pump", "one")))
	archive := filepath.Join(t.TempDir(), "b.tar.gz")
	o.must("backup", "--config", o.config(), "-o", archive)
	st, err := os.Stat(archive)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, st.Mode().Perm(), "the keys are in it")
	ca := o.must("ca", "show", "--format", "{{.SHA256}}")

	require.Contains(t, o.edgectl("factory-reset", "--config", o.config(), "--yes").err, "stop it first")
	o.Edged.Signal(syscall.SIGTERM)
	o.must("factory-reset", "--config", o.config(), "--yes")
	require.NoFileExists(t, filepath.Join(o.Home, "edged.db"))
	o.StartEdged()
	o.WaitFor("edgeAgent", "running")
	o.Eventually("the module of before is gone", func() bool { return len(o.Containers("pump")) == 0 })
	require.NotEqual(t, ca, o.must("ca", "show", "--format", "{{.SHA256}}"), "the device has new keys")

	require.Equal(t, 1, o.edgectl("restore", "--config", o.config(), "--yes", archive).code, "edged runs")
	o.Edged.Signal(syscall.SIGTERM)
	o.must("restore", "--config", o.config(), "--yes", archive)
	o.StartEdged()
	o.WaitFor("pump", "running")
	require.Equal(t, ca, o.must("ca", "show", "--format", "{{.SHA256}}"))
}

// TestABackupThatIsInterruptedLeavesNothing: keys and environments would be in it.
func TestABackupThatIsInterruptedLeavesNothing(t *testing.T) {
	o := newOperator(t)
	huge := filepath.Join(o.Home, "volumes", "huge", "_data", "file")
	require.NoError(t, os.MkdirAll(filepath.Dir(huge), 0o755))
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 1<<40))
	folder := t.TempDir()
	cmd := exec.Command(filepath.Join(device.Repository(), "bin", "edgectl"), "backup", "--volumes", "--config", o.config(), "-o", filepath.Join(folder, "b.tar.gz"))
	require.NoError(t, cmd.Start())
	left := func() int {
		beside, err := os.ReadDir(folder)
		require.NoError(t, err)
		within, err := filepath.Glob(filepath.Join(o.Home, ".backup-*"))
		require.NoError(t, err)
		return len(beside) + len(within)
	}
	o.Eventually("it writes", func() bool { return left() == 2 })
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Zero(t, left())
}

// TestARestoreReachesWhatRunsOn: modules run on while edged is stopped, with the folders and
// volumes of before the restore mounted, and of other specs than the backup's.
func TestARestoreReachesWhatRunsOn(t *testing.T) {
	o := newOperator(t)
	counting := func(env string) string { // it writes on into the volume for as long as it runs
		return `"count":{"imagePullPolicy":"never","env":{"WHO":{"value":"` + env + `"}},"settings":{"image":"` + device.Image + `","createOptions":` +
			`{"Entrypoint":["/bin/sh","-c","trap exit TERM; while :; do echo $WHO >>/data/log; sleep 0.1; done"],"HostConfig":{"NetworkMode":"none","Binds":["counts:/data"]},"Healthcheck":{"Test":["CMD-SHELL","exit 0"],"Interval":200000000}}}}`
	}
	o.apply(0, o.manifest(waiting("pump", "one")+","+counting("one")))
	log := filepath.Join(o.Home, "volumes", "counts", "_data", "log")
	archive := filepath.Join(t.TempDir(), "b.tar.gz")
	o.must("backup", "--volumes", "--config", o.config(), "-o", archive)
	o.apply(0, o.manifest(waiting("valve", "two")+","+counting("two")))
	o.apply(0, o.manifest(waiting("pump", "three")+","+waiting("valve", "two")+","+counting("two")))

	o.Edged.Signal(syscall.SIGTERM)
	o.must("restore", "--config", o.config(), "--yes", archive)
	written, err := os.ReadFile(log)
	require.NoError(t, err)
	require.NotContains(t, string(written), "two", "what runs writes elsewhere")
	// As if the power had gone before the last rename: without its keys edged would not start.
	aside, err := filepath.Glob(filepath.Join(o.Home, "before-restore-*"))
	require.NoError(t, err)
	require.Len(t, aside, 1)
	unpacked := filepath.Join(o.Home, ".restoring", "home")
	require.NoError(t, os.MkdirAll(unpacked, 0o700))
	require.NoError(t, os.Rename(filepath.Join(o.Home, "keys"), filepath.Join(unpacked, "keys")))
	require.NoError(t, os.WriteFile(filepath.Join(o.Home, ".restoring", "plan.json"), []byte(`{"aside":"`+filepath.Base(aside[0])+`","entries":["agent","edged.db","keys","volumes"]}`), 0o600))
	o.StartEdged()
	o.WaitFor("pump", "running")
	o.WaitFor("count", "running")
	o.Eventually("the module of later is gone", func() bool { return len(o.Containers("valve")) == 0 })
	m, _ := o.Get("pump")
	require.Equal(t, "one", m.Config.Env[0].Value)
	require.Equal(t, "one", o.environment("pump", "WHO"), "what runs is what edged says")
	o.Eventually("what runs has the restored volume", func() bool {
		now, err := os.ReadFile(log)
		return err == nil && len(now) > len(written) && !strings.Contains(string(now), "two")
	})
	require.Contains(t, o.EdgedLog(), `RESTORE`)
	o.apply(0, o.manifest(waiting("pump", "four")))
	require.Equal(t, "four", o.environment("pump", "WHO"))

	// Said once: the next start leaves all as it is.
	before := o.process("pump")
	o.Edged.Signal(syscall.SIGTERM)
	o.StartEdged()
	o.WaitFor("pump", "running")
	require.Equal(t, before, o.process("pump"))
}

// process is the number of the first process of a module, as containerd has it.
func (o *operator) process(module string) string {
	o.t.Helper()
	for line := range strings.Lines(o.Ctr("tasks", "ls")) {
		if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[0], module+"-") {
			return f[1]
		}
	}
	o.t.Fatalf("%s does not run", module)
	return ""
}

// environment is a variable of that process.
func (o *operator) environment(module, name string) string {
	o.t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", o.process(module), "environ"))
	require.NoError(o.t, err)
	for one := range strings.SplitSeq(string(b), "\x00") {
		if value, ok := strings.CutPrefix(one, name+"="); ok {
			return value
		}
	}
	return ""
}

// TestRecoverBringsThePackagedAgentBack is the device whose agent replaced itself by
// something that does nothing.
func TestRecoverBringsThePackagedAgentBack(t *testing.T) {
	o := newOperator(t)
	version := strings.TrimSpace(o.must("version", "--format", "{{.Client.Version}}"))
	o.Edged.Signal(syscall.SIGTERM)
	o.put("config.d/agent.toml", "[agent]\nimage = \""+device.Image+"\"\ncreate_options = '{\"Cmd\":[\"sleep\"]}'\n")
	o.StartEdged()
	o.Eventually("the other agent runs", func() bool {
		m, _ := o.Get("edgeAgent")
		return m.Config.Settings.Image == device.Image && m.Status.RuntimeStatus.Status == "running"
	})
	require.Equal(t, 3, o.edgectl("apply", "--yes", "--timeout", "2s", "-f", o.manifest(waiting("pump", "one"))).code)
	require.Contains(t, o.edgectl("recover", "--config", o.config(), "--yes").err, "stop it first")
	o.Edged.Signal(syscall.SIGTERM)
	require.NoError(t, os.Chown(filepath.Join(o.Root, "config.d"), 0, 4242))
	o.must("recover", "--config", o.config(), "--yes")
	st, err := os.Stat(filepath.Join(o.Root, "config.d", "zz-recover.toml"))
	require.NoError(t, err)
	require.EqualValues(t, 4242, st.Sys().(*syscall.Stat_t).Gid, "who may read the rest may read it, too")
	o.StartEdged()
	o.WaitFor("pump", "running")
	m, _ := o.Get("edgeAgent")
	require.Equal(t, "edged.local/agent:"+version, m.Config.Settings.Image)
	require.Contains(t, o.EdgedLog(), `RECOVER`)
}

// TestANewDeviceTakesTheOldOnesPlace has nothing of it but the backup: images are fetched with
// the credentials that are in it.
func TestANewDeviceTakesTheOldOnesPlace(t *testing.T) {
	old := newOperator(t)
	registry := device.NewRegistry(t)
	registry.Push(old.Device, "pump:1", 1)
	pump := strings.ReplaceAll(strings.ReplaceAll(waiting("pump", "one"), device.Image, registry.Address+"/pump:1"), `"imagePullPolicy":"never",`, "")
	values := old.put("values.env", "USER_OF_REGISTRY="+device.RegistryUser+"\nPASSWORD="+device.RegistryPassword+"\n")
	manifest := old.put("manifest.json", `{"schemaVersion":"1.1","runtime":{"settings":{"registryCredentials":{"r":{"address":"`+registry.Address+`","username":"${USER_OF_REGISTRY}","password":"${PASSWORD}"}}}},"modules":{`+pump+`}}`)
	old.apply(0, manifest, "--env-file", values)
	archive := filepath.Join(t.TempDir(), "b.tar.gz")
	old.must("backup", "--config", old.config(), "-o", archive)
	old.Edged.Signal(syscall.SIGTERM)

	o := newOperator(t)
	o.Edged.Signal(syscall.SIGTERM)
	o.must("restore", "--config", o.config(), "--yes", archive)
	o.StartEdged()
	o.WaitFor("pump", "running")
	require.Contains(t, o.must("deployment", "show"), "phase      applied")
}
