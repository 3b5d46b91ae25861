package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"github.com/edged/edged/edged/edgectl/firstconfig"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/file"
)

func (a *app) initialise() *cobra.Command {
	var out, from string
	var force, ask bool
	var v firstconfig.Values
	cmd := &cobra.Command{
		Use: "init", Short: "Write a first configuration", Args: usage(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		Long: `Write a first configuration, from flags, by asking for what matters most on a terminal, or
with --from from that of Azure IoT Edge; what could not be taken over is told. It is
checked before it is written. Every key has a default: without any answer it says nothing
but its version. It goes beside the file that packages bring and upgrade, into config.d.`,
		Example: `  edgectl init
  edgectl init --from /etc/aziot/config.toml
  edgectl init --hostname gateway-7 --hub hub.example -o -`,
		RunE: func(*cobra.Command, []string) (err error) {
			if from != "" {
				text, err := a.input(from, 1<<20)
				if err != nil {
					return err
				}
				taken, notes, err := firstconfig.FromIoTEdge(text)
				if err != nil {
					return usageError{err}
				}
				for _, n := range notes {
					fmt.Fprintln(a.err, "note:", printable(n))
				}
				override(&taken, &v)
				v = taken
				a.tellMissing(&v)
			}
			if out == "" {
				if out, err = ownPlace(config.DefaultFile, force); err != nil {
					return err
				}
			}
			if out != "-" && !force {
				if set, err := keysOf(out); err != nil {
					return err
				} else if setsKeys(set) {
					return fmt.Errorf("cannot write %s: it is there already, and not of comments alone; --force replaces it", out)
				}
			}
			if ask || a.inTerminal && from == "" && v == (firstconfig.Values{}) {
				if err := a.askValues(&v); err != nil {
					return err
				}
			}
			text := v.Text()
			if err := checkConfig(text); err != nil {
				return usageError{err}
			}
			if out == "-" {
				_, err := fmt.Fprint(a.out, text)
				return err
			}
			if err := file.Write(out, []byte(text), 0o640, groupOf(filepath.Dir(out))); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s\n", out)
			if strings.HasPrefix(out, filepath.Dir(config.DefaultFile)+"/") {
				fmt.Fprintln(a.err, "start edged with it: systemctl restart edged; then: edgectl check")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "the `file` to write, or - for standard output (default: config.d/10-init.toml beside the packaged file)")
	f.StringVar(&from, "from", "", "`config.toml` of Azure IoT Edge")
	f.BoolVar(&force, "force", false, "replace a file that is there")
	f.BoolVar(&ask, "ask", false, "ask, though values are given by flags")
	for _, one := range []struct {
		name, about string
		to          *string
	}{
		{"hostname", "`name` of the device (default: the host's)", &v.Hostname},
		{"device-id", "`id` of the device at its hub (default: the hostname)", &v.DeviceID},
		{"hub", "host `name` of the hub", &v.Hub},
		{"gateway", "host `name` by which modules reach the gateway", &v.Gateway},
		{"trust-bundle", "PEM `file` of further certificates that modules trust", &v.TrustBundle},
		{"ca-cert", "PEM `file` of the device CA's certificate", &v.CACert},
		{"ca-key", "`file` or URI of its key", &v.CAKey},
		{"keystore", "`uri` of the place of keys: file:///..., tpm2: or pkcs11:...", &v.KeystoreURI},
		{"agent-image", "`image` of an agent of your own", &v.AgentImage},
		{"agent-pull", "its pull `policy`, never or on-create", &v.AgentPull},
		{"containerd", "`path` of containerd's socket", &v.Containerd},
	} {
		f.StringVar(one.to, one.name, "", one.about)
	}
	return cmd
}

// tellMissing names files without which edged does not start, or trusts less.
func (a *app) tellMissing(v *firstconfig.Values) {
	for _, f := range []struct{ key, path string }{{"ca_cert", v.CACert}, {"ca_key", v.CAKey}, {"trust_bundle", v.TrustBundle}} {
		if !filepath.IsAbs(f.path) {
			continue
		}
		if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(a.err, "note: %s: %s is not there; put it there, or take the key out of [device]\n", f.key, printable(f.path))
		}
	}
}

// override puts what flags say over what was taken from another file.
func override(taken, flags *firstconfig.Values) {
	for to, flag := range map[*string]string{
		&taken.Hostname: flags.Hostname, &taken.DeviceID: flags.DeviceID, &taken.Hub: flags.Hub, &taken.Gateway: flags.Gateway,
		&taken.TrustBundle: flags.TrustBundle, &taken.CACert: flags.CACert, &taken.CAKey: flags.CAKey, &taken.KeystoreURI: flags.KeystoreURI,
		&taken.AgentImage: flags.AgentImage, &taken.AgentPull: flags.AgentPull, &taken.Containerd: flags.Containerd,
	} {
		if flag != "" {
			*to = flag
		}
	}
}

func (a *app) askValues(v *firstconfig.Values) error {
	for _, q := range []struct {
		text string
		to   *string
	}{
		{"Name of the device [the host's]: ", &v.Hostname},
		{"Id of the device at its hub [its name]: ", &v.DeviceID},
		{"Host name of the hub [none]: ", &v.Hub},
		{"Image of an agent of your own [the packaged one]: ", &v.AgentImage},
	} {
		answer, err := a.prompt(q.text)
		if err != nil {
			return err
		}
		*q.to = answer
	}
	if v.AgentImage != "" {
		v.AgentPull = config.PullOnCreate
	}
	return nil
}

// checkConfig loads a configuration as edged will, away from other files.
func checkConfig(text string) error {
	dir, err := os.MkdirTemp("", "edgectl-*")
	if err != nil {
		return fmt.Errorf("cannot check the configuration: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left of it harms nobody
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("cannot check the configuration: %w", err)
	}
	if _, err := config.Load(path); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), path, "what would be written"))
	}
	return nil
}

// groupOf is the group of a folder, whose files shall have it too.
func groupOf(dir string) int {
	st, err := os.Stat(dir)
	if err != nil {
		return -1
	}
	return gidOf(st)
}

// ownPlace is where a first configuration goes that nobody gave a place: a file of its own
// beside the main one, which is the packages' to replace as long as nobody changes it, or
// the main one where there is none. What an operator set there would be overridden.
func ownPlace(main string, force bool) (string, error) {
	if _, err := os.Lstat(main); errors.Is(err, fs.ErrNotExist) {
		return main, nil
	}
	set, err := keysOf(main)
	if err != nil {
		return "", err
	}
	if network, ok := set["network"].(map[string]any); ok {
		delete(network, "cni_bin_dirs") // the rpm's
	}
	folder := filepath.Join(filepath.Dir(main), "config.d")
	if setsKeys(set) && !force {
		return "", fmt.Errorf("cannot write a first configuration: %s sets keys already; --force writes another into %s, which overrides it", main, folder)
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return "", err
	}
	return filepath.Join(folder, "10-init.toml"), nil
}

// keysOf reads what a configuration sets that may be there: one of comments and empty
// tables, such as packages bring, is nobody's.
func keysOf(name string) (map[string]any, error) {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	text, err := file.Read(name, 1<<20)
	if err != nil {
		return nil, err
	}
	var set map[string]any
	if err := toml.Unmarshal(text, &set); err != nil {
		return map[string]any{"": name}, nil //nolint:nilerr // what cannot be read says something to somebody
	}
	return set, nil
}

// setsKeys says that a table has more than tables without keys.
func setsKeys(table map[string]any) bool {
	for _, value := range table {
		if below, ok := value.(map[string]any); !ok || setsKeys(below) {
			return true
		}
	}
	return false
}
