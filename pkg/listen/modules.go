package listen

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Names of a module's listeners, ModuleListener.Name.
const (
	Workload   = "workload"
	Management = "management"
	// Framework is what the OSGi host connects to.
	Framework = "framework"
)

// further are the sockets that a module has beside the workload one only when it is to, and
// their files.
var further = map[string]string{Management: "mgmt.sock", Framework: "osgi.sock"}

// workloadFile is of the socket that every module has. The module sees it in /run/edged.
const workloadFile = "workload.sock"

// fdNamePrefix starts the name of a module's listeners in the descriptor store.
const fdNamePrefix = "edged.m."

// moduleHash is the 128-bit hash that names a module's folder: 32 hex digits, so
// that any module name makes a file name of one length.
func moduleHash(module string) string {
	sum := sha256.Sum256([]byte(module))
	return hex.EncodeToString(sum[:16])
}

// FDName is the name under which the service manager stores the module's
// listeners: "edged.m." and the 32 hex digits of the module's folder.
func FDName(module string) string {
	return fdNamePrefix + moduleHash(module)
}

func isModuleFDName(name string) bool {
	hash, ok := strings.CutPrefix(name, fdNamePrefix)
	return ok && len(hash) == 32 && strings.Trim(hash, "0123456789abcdef") == ""
}

// ModuleListener is a socket on which exactly one module calls.
type ModuleListener struct {
	*net.UnixListener
	// Module is the module's name, as Ensure was told.
	Module string
	// Name is Workload, Management or Framework.
	Name string
	// Stored is true when the listener came from the service manager's
	// descriptor store, and so is in it already.
	Stored bool
}

// ModuleSockets keeps a folder of sockets a module: <run>/modules/<hash>/ with
// workload.sock and, where asked for, further ones. <run>/modules is 0700, so on
// the host only root comes to the sockets; the folder, which the module sees
// mounted read-only, is 0755 and the sockets 0666, since a module may run as
// any user. It is safe for concurrent use.
//
// A module that holds CAP_SYS_ADMIN can write to its folder all the same. So
// every step goes through a descriptor of the folder and follows no link, and a
// listener that was kept is used again only when the kernel says that the
// module's file is its own.
type ModuleSockets struct {
	root string

	mu   sync.Mutex
	open map[string]map[string]ModuleListener // by folder's name, then by file
}

// NewModuleSockets keeps the folders under the absolute path run. It touches
// nothing before the first Ensure.
func NewModuleSockets(run string) *ModuleSockets {
	return &ModuleSockets{
		root: filepath.Join(run, "modules"),
		open: make(map[string]map[string]ModuleListener),
	}
}

// Dir is the module's folder on the host.
func (m *ModuleSockets) Dir(module string) string {
	return filepath.Join(m.root, moduleHash(module))
}

// Ensure makes the module's folder and sockets, beside the workload one those that
// are named (others are removed), and gives the listeners, the workload one first.
// Called again it gives the same listeners, as long as they are open and their files
// in place. Else a listener that act has from before a restart is used where it is
// the file's; else the socket is made anew.
func (m *ModuleSockets) Ensure(module string, act *Activation, names ...string) ([]ModuleListener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := moduleHash(module)
	dir, err := m.openFolder(hash)
	if err != nil {
		return nil, fmt.Errorf("cannot make socket folder of module %q: %w", module, err)
	}
	defer unix.Close(dir)
	if m.open[hash] == nil {
		m.open[hash] = make(map[string]ModuleListener)
	}
	f := moduleFolder{dir: dir, path: filepath.Join(m.root, hash), fdName: fdNamePrefix + hash, open: m.open[hash]}

	wanted := []ModuleListener{{Module: module, Name: Workload}}
	files := []string{workloadFile}
	for _, name := range slices.Sorted(maps.Keys(further)) {
		if slices.Contains(names, name) {
			wanted = append(wanted, ModuleListener{Module: module, Name: name})
			files = append(files, further[name])
		} else if err := f.drop(further[name]); err != nil {
			return nil, fmt.Errorf("cannot remove %s socket of module %q: %w", name, module, err)
		}
	}
	for i := range wanted {
		wanted[i], err = f.ensure(files[i], wanted[i], act)
		if err != nil {
			return nil, fmt.Errorf("cannot make %s socket of module %q: %w", wanted[i].Name, module, err)
		}
	}
	return wanted, nil
}

// Remove closes the module's listeners and removes its folder with all that is
// in it. A module without a folder is no error. Notifier.Forget(FDName(module))
// is the caller's.
func (m *ModuleSockets) Remove(module string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := moduleHash(module)
	for _, l := range m.open[hash] {
		l.Close()
	}
	delete(m.open, hash)
	// os.Root removes below the folder it holds, without following links.
	root, err := os.OpenRoot(m.root)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove sockets of module %q: %w", module, err)
	}
	defer root.Close()
	if err := root.RemoveAll(hash); err != nil {
		return fmt.Errorf("cannot remove sockets of module %q: %w", module, err)
	}
	return nil
}

// openFolder makes <run>/modules/<hash> and opens it.
func (m *ModuleSockets) openFolder(hash string) (int, error) {
	run := filepath.Dir(m.root)
	if err := makeFolders(run); err != nil {
		return -1, err
	}
	parent, err := unix.Open(run, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open %s: %w", run, err)
	}
	defer unix.Close(parent)
	modules, err := ownFolder(parent, filepath.Base(m.root), 0o700)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", m.root, err)
	}
	defer unix.Close(modules)
	return ownFolder(modules, hash, 0o755)
}

// ownFolder opens the folder called name in parent, made if it is missing, and
// sees to its owner and mode.
func ownFolder(parent int, name string, mode uint32) (fd int, err error) {
	if err := unix.Mkdirat(parent, name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, fmt.Errorf("cannot make the folder: %w", err)
	}
	fd, err = unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open the folder: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, fmt.Errorf("cannot examine the folder: %w", err)
	}
	if int(st.Uid) != os.Geteuid() {
		return -1, fmt.Errorf("the folder belongs to user %d, not %d", st.Uid, os.Geteuid())
	}
	if st.Mode&0o7777 == mode {
		return fd, nil
	}
	if err := unix.Fchmod(fd, mode); err != nil { // whatever the umask took
		return -1, fmt.Errorf("cannot set the mode of the folder: %w", err)
	}
	return fd, nil
}
