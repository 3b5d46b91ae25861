package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/pkg/mountns"
)

// Config is what a Manager needs to know.
type Config struct {
	// Run is edged's folder that a reboot empties.
	Run string
	// Bridge, Subnet and Subnet6 are of the default network; Subnet6 may be not valid.
	Bridge          string
	Subnet, Subnet6 netip.Prefix
	// ConfDir holds the operator's conflists; BinDirs are where plugins are looked for.
	ConfDir string
	BinDirs []string
	// Hub is the module that has the name Gateway besides its own; Gateway may be empty.
	Hub, Gateway string
	// MountNS is where namespaces are bound and plugins run.
	MountNS *mountns.Namespace
	Store   Store
	// HostsFile is the hosts file of a container, by its id.
	HostsFile func(container string) string
	Log       logrus.FieldLogger
}

// Instance is one container of a module.
type Instance struct {
	Module string
	// Key is what the ids of the module's containers begin with.
	Key string
	// Container is its id.
	Container string
}

// Manager gives modules their networks. It is safe for concurrent use.
type Manager struct {
	Config
	plugins    *plugins
	states     states
	guestFiles guests
	firewall   *firewall
	// hostsFiles is locked before mu.
	hostsFiles *hostsWriter
	// bridge is held for reading while something is attached, for writing while the bridge is removed.
	bridge sync.RWMutex

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	wake chan struct{}

	mu      sync.Mutex
	closed  bool
	lists   conflists
	records map[string]*Record // by module
	present map[string]*state  // by key
	claims  map[string]*claim  // by key, of what is up
	locks   map[string]*keyLock
	pools   [2]pool
	failed  map[string]failure
	guests  map[string]*Plan // by container: those that run in another module's namespace
}

// failure is how attaching a new module ahead ended.
type failure struct {
	at  time.Time
	err error
}

// claim is the host ports of a module that runs.
type claim struct {
	module string
	ports  []claimedPort
	held   reservation
}

type claimedPort struct {
	Port
	host uint16
}

// New reads what the database and the run folder know and takes the ports of running
// modules again. It runs nothing; errors are the store's and the disk's.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	dir := filepath.Join(cfg.Run, "network")
	m := &Manager{
		Config: cfg, plugins: newPlugins(cfg.MountNS, cfg.BinDirs, filepath.Join(cfg.Run, "cni")), states: states{dir}, guestFiles: guests{filepath.Join(dir, "guests")},
		firewall: newFirewall(cfg.MountNS, cfg.Bridge, cfg.Subnet, cfg.Subnet6, cfg.Log), wake: make(chan struct{}, 1), hostsFiles: newHostsWriter(),
		records: map[string]*Record{}, claims: map[string]*claim{}, locks: map[string]*keyLock{}, failed: map[string]failure{},
		pools: [2]pool{{subnet: cfg.Subnet}, {subnet: cfg.Subnet6}},
	}
	m.loadLists()
	records, err := cfg.Store.Networks(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read networks of modules: %w", err)
	}
	for i := range records {
		m.records[records[i].Module] = &records[i]
	}
	if m.present, err = m.states.load(); err != nil {
		return nil, err
	}
	if m.guests, err = m.guestFiles.load(); err != nil {
		return nil, err
	}
	for _, st := range m.present {
		m.takeUp(st)
	}
	m.ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	if len(m.present) > 0 {
		m.firewall.inherited = true
		m.refilter()
	}
	m.wg.Go(m.keepFilter)
	m.wg.Go(m.keepHosts)
	return m, nil
}

// takeUp reserves the ports of a module that ran when edged ended.
func (m *Manager) takeUp(st *state) {
	rec := m.records[st.Module]
	if st.Up == "" || rec == nil || rec.Key != st.Key {
		return
	}
	c := &claim{module: st.Module}
	for _, p := range rec.Plan.Ports {
		host := rec.hostPort(p)
		if host == 0 {
			continue
		}
		c.ports = append(c.ports, claimedPort{p, host})
		held, _, err := reservePort(p, host, m.Subnet6.IsValid())
		if err != nil {
			m.Log.WithError(err).WithField("module", st.Module).Warnf("cannot reserve published port %d/%s again: another program took it while edged was away", host, p.Proto)
			continue
		}
		c.held = append(c.held, held...)
	}
	m.claims[st.Key] = c
}

func (m *Manager) loadLists() {
	lists, errs := loadConflists(m.ConfDir, filepath.Join(m.Run, "cni", "networks"))
	for _, err := range errs {
		m.Log.WithError(err).Error("a network is left out")
	}
	m.lists = lists
}

// Close waits for what is under way; what is attached stays.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.claims {
		c.held.close()
	}
	m.claims = map[string]*claim{}
}

// goes runs f beside the caller; Close waits for it.
func (m *Manager) goes(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.wg.Go(f)
	}
}

// NetNS is the path of a module's network namespace, whether it is there or not.
func (m *Manager) NetNS(key string) string { return filepath.Join(m.Run, "netns", key) }

// keyLock lets one operation at a time touch a module's namespace.
type keyLock struct {
	held chan struct{}
	used int
}

// lock waits for its turn, or for ctx.
func (m *Manager) lock(ctx context.Context, key string) (func(), error) {
	m.mu.Lock()
	l := m.locks[key]
	if l == nil {
		l = &keyLock{held: make(chan struct{}, 1)}
		m.locks[key] = l
	}
	l.used++
	m.mu.Unlock()
	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.used--; l.used == 0 {
			delete(m.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() {
			<-l.held
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("the network of the module is busy: %w: %w", context.Cause(ctx), errdefs.ErrUnavailable)
	}
}

func (m *Manager) warn(err error, text string) {
	if err != nil && !errors.Is(err, context.Canceled) {
		m.Log.WithError(err).Warn(text)
	}
}
