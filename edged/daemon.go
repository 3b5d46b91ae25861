package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/edged/edged/mgmt"
	"github.com/edged/edged/pkg/access"
	"github.com/edged/edged/pkg/audit"
	"github.com/edged/edged/pkg/backup"
	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/content"
	"github.com/edged/edged/pkg/deployment"
	"github.com/edged/edged/pkg/engine"
	"github.com/edged/edged/pkg/httpapi"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/image"
	"github.com/edged/edged/pkg/keystore"
	"github.com/edged/edged/pkg/listen"
	"github.com/edged/edged/pkg/metrics"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/modulelog"
	"github.com/edged/edged/pkg/mountns"
	"github.com/edged/edged/pkg/network"
	"github.com/edged/edged/pkg/peer"
	"github.com/edged/edged/pkg/secret"
	"github.com/edged/edged/pkg/store"
	"github.com/edged/edged/pkg/system"
	"github.com/edged/edged/pkg/upload"
	"github.com/edged/edged/pkg/volume"
	"github.com/edged/edged/workload"
)

// closeTimeout bounds a stop; systemd's own is longer.
const closeTimeout = 20 * time.Second

// daemon is edged wired together. Its fields are in the order in which they are
// made; close goes the other way.
type daemon struct {
	file       string // of the configuration
	cfg        *config.Config
	log        *logrus.Logger
	notifier   *listen.Notifier
	activation *listen.Activation

	metrics    *metrics.Registry
	requests   *metrics.Requests
	audit      *audit.Log
	store      *store.Store
	table      *peer.Table
	keys       *keystore.Store
	box        *secret.Box
	secrets    *secret.Store
	caKey      *caKey
	ca         *ca.Authority
	peers      *peer.Peers
	kernel     *peer.Kernel
	logs       *modulelog.Store
	mounts     *mountns.Namespace
	networks   *network.Manager
	engine     *engine.Engine
	decider    *access.Decider
	identities *identity.Registry
	images     *image.Keeper
	catalog    builtCatalog
	content    *content.Store
	packages   *upload.Packages
	osgi       osgi
	sockets    *sockets
	supervisor *module.Supervisor

	// archives is closed when those of the start are imported.
	archives  chan struct{}
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	reloading sync.Mutex
	logLevel  string // as the configuration had it last
	failed    chan error
}

// newDaemon starts edged and returns once it answers.
func newDaemon(ctx context.Context, file string, cfg *config.Config, activation *listen.Activation, notifier *listen.Notifier, log *logrus.Logger) (_ *daemon, err error) {
	d := &daemon{file: file, cfg: cfg, logLevel: cfg.LogLevel, log: log, notifier: notifier, activation: activation, failed: make(chan error, 1), archives: make(chan struct{})}
	ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.mounts, err = mountns.Open(os.Getppid() == 1 || notifier.Enabled(), cfg.Home, cfg.Run); err != nil {
		return nil, err
	}
	// Before anything in the home is made or read.
	if err := backup.Settle(cfg.Home); err != nil {
		return nil, err
	}
	if err := d.makeFolders(); err != nil {
		return nil, err
	}
	if err := d.mounts.Try(cfg.Run); err != nil {
		return nil, err
	}
	d.metrics = metrics.New(version)
	d.requests = d.metrics.NewRequests()
	d.audit = audit.New(os.Stderr)
	d.inItsTime(ctx, func() { d.store, err = store.Open(ctx, cfg.Home, nil) })
	if err != nil {
		return nil, err
	}
	d.store.ObserveWrites(d.metrics.NewDurations(databaseWrites, "How long writes to the database took, with the wait for their turn."))
	d.audit.Keep(d.store, log)
	if err := d.auditRecovery(ctx); err != nil {
		return nil, err
	}
	// Behind the database's lock: nobody else writes there.
	if err := deployment.FoldersOf(cfg.Home).Sweep(); err != nil {
		log.WithError(err).Warn("cannot remove what a manifest that was cut has left")
	}
	if err := d.openKeys(ctx); err != nil {
		return nil, err
	}
	if d.kernel, err = peer.NewKernel(); err != nil {
		return nil, err
	}
	d.table = peer.NewTable(cfg.Containerd.Namespace)
	peers := peer.Config{
		Table: d.table, Kernel: d.kernel, RequirePIDFD: cfg.Peer.RequirePIDFD,
		Limits: peer.Limits{PerListener: cfg.Limits.Connections, PerUID: cfg.Limits.ConnectionsCaller, RootReserve: cfg.Limits.ConnectionsRoot},
	}
	weaken(&peers)
	if d.peers, err = peer.New(peers); err != nil {
		return nil, err
	}
	if d.networks, err = d.newNetworks(ctx); err != nil {
		return nil, err
	}
	if d.engine, err = d.newEngine(); err != nil {
		return nil, err
	}
	d.logs = modulelog.NewStore(filepath.Join(cfg.Home, "logs"))
	d.decider = access.New(d.grants(cfg))
	d.inItsTime(ctx, func() { d.openCatalog(ctx) })
	d.images = d.newImages()
	if d.content, err = content.Open(filepath.Join(cfg.Home, "content")); err != nil {
		return nil, err
	}
	if d.packages, err = d.openPackages(ctx); err != nil {
		return nil, err
	}
	if err := d.openBundles(ctx); err != nil {
		return nil, err
	}
	if err := d.sweepContent(ctx); err != nil {
		return nil, err
	}
	d.sockets = newSockets(d)
	if d.identities, err = identity.Open(ctx, d.store); err != nil {
		return nil, err
	}
	restored, err := d.restored(ctx)
	if err != nil {
		return nil, err
	}
	if d.supervisor, err = module.Open(ctx, module.Config{
		Store: d.store, Engine: d.engine, Recorder: d.kernel, Table: d.table, Sockets: d.sockets, Logs: d.logs, Identities: d.identities,
		Images: d.images, Secrets: d.secrets,
		Identity: module.IdentityEnv{DeviceID: deviceID(cfg), Hub: cfg.Device.Hub, Gateway: gateway(cfg)},
		Extra:    d.agentFolders, PowerCut: d.powerCut(), Restored: restored, Log: log,
	}); err != nil {
		return nil, err
	}
	d.metrics.Add(d.families()...)
	d.metrics.AddNamed(d.namedFamilies()...)
	if err := d.serve(ctx); err != nil {
		return nil, err
	}
	for _, name := range activation.CloseStale() {
		log.Infof("closed stored socket %s: its module does not run", name)
		if err := notifier.Forget(name); err != nil {
			log.WithError(err).Warn("cannot make the service manager forget a socket")
		}
	}
	d.supervisor.Run()
	d.goes(func() { d.afterStart(ctx) })
	d.goes(func() { trimWhenQuiet(ctx, d.log) })
	d.goes(func() { d.runIndex(ctx) })
	d.goes(func() { d.runMetrics(ctx) })
	d.goes(func() { d.ca.Run(ctx) })
	d.goes(func() { d.runPackages(ctx) })
	d.goes(func() { d.runBundles(ctx) })
	d.goes(func() { notifier.Watchdog(ctx, d.probe) })
	log.Infof("edged %s answers; callers are proven by %s", version, d.peers.Proof())
	if d.peers.Proof() != peer.ProofPIDFD {
		log.Warn("this kernel has no SO_PEERPIDFD: callers are proven by process id, and modules only on their own sockets")
	}
	return d, notifier.Ready()
}

// longestCopy bounds the time that edged asks systemd for, once a database.
const longestCopy = 2 * time.Hour

// inItsTime opens a database, which systemd does not cut off: one of an older schema is
// copied before it is changed, and with gigabytes on slow flash that would begin anew for
// ever. What else can hang in a start has the unit's own limit.
func (d *daemon) inItsTime(ctx context.Context, open func()) {
	ctx, done := context.WithTimeout(ctx, longestCopy)
	defer done()
	d.goes(func() { d.notifier.Starting(ctx, 30*time.Second) })
	open()
}

// goes runs a goroutine that close waits for.
func (d *daemon) goes(f func()) { d.wg.Go(f) }

// makeFolders makes what the package's tmpfiles would have made.
func (d *daemon) makeFolders() error {
	for dir, mode := range map[string]os.FileMode{d.cfg.Home: 0o700, d.cfg.Run: 0o755} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("cannot make folder: %w", err)
		}
	}
	return d.makeAgentFolders()
}

func (d *daemon) newNetworks(ctx context.Context) (*network.Manager, error) {
	return network.New(ctx, networkConfig(d.cfg, d.mounts, d.store, d.log))
}

func networkConfig(cfg *config.Config, mounts *mountns.Namespace, s network.Store, log logrus.FieldLogger) network.Config {
	c := cfg.Network
	return network.Config{
		Run: cfg.Run, Bridge: c.Bridge, Subnet: c.Subnet, Subnet6: c.Subnet6, ConfDir: c.CNIConfDir, BinDirs: c.CNIBinDirs,
		Hub: module.HubName, Gateway: gateway(cfg),
		MountNS: mounts, Store: s, HostsFile: func(id string) string { return engine.HostsFile(cfg.Home, id) }, Log: log,
	}
}

func (d *daemon) newEngine() (*engine.Engine, error) {
	logger, err := findLogger()
	if err != nil {
		return nil, err
	}
	c := d.cfg.Containerd
	return engine.New(engine.Config{
		Address: c.Address, Namespace: c.Namespace, Snapshotter: c.Snapshotter, SharedShim: c.SharedShim,
		SystemdCgroup: systemdOwnsCgroups(), Logger: logger, CertsDir: d.cfg.Images.RegistryDir,
		Home: d.cfg.Home, Run: d.cfg.Run,
		Protected:    runtimeFolders(c.Address),
		AgentFolders: []string{d.desiredFolder(), d.statusFolder()},
		Volumes:      volume.NewStore(filepath.Join(d.cfg.Home, "volumes")),
		Networks:     d.networks,
		MountNS:      d.mounts,
		Imported:     d.archives,
		Log:          d.log,
	})
}

// serve opens the two shared sockets. What is known of modules is in the table by now.
func (d *daemon) serve(ctx context.Context) error {
	limits := httpapi.Limits{
		Body: int64(d.cfg.Limits.JSONBody), BodyRate: int64(d.cfg.Limits.BodyRate), Headers: int(d.cfg.Limits.Headers),
		HeaderTimeout: d.cfg.Limits.HeaderTimeout.Duration, IdleTimeout: d.cfg.Limits.IdleTimeout.Duration,
	}
	views, resources := mgmt.NewViews(), system.NewCollector()
	d.sockets.handle(listen.Management, httpapi.NewServer(mgmt.New(mgmt.Config{
		Supervisor: d.supervisor, Identities: d.identities, Images: d.images, Logs: d.logs, Views: views, Decider: d.decider, Audit: d.audit, Requests: d.requests, Limits: limits,
		Volumes:       &volume.Keeper{Store: d.engine.Volumes, Uses: d.volumeUses},
		DockerFraming: d.cfg.Management.LogFraming == config.FramingDocker,
		Stopping:      ctx,
		SystemInfo:    d.systemInfo,
		Resources:     func() (wire.SystemResources, error) { return resources.Resources(d.running()) },
		SupportBundle: d.bundle(resources).Write,
		Reprovision:   d.reload,
		Metrics:       d.writeMetrics,
		AuditTable:    d.store,
		CA:            d.ca,
		Networks:      d.listNetworks,
		Secrets:       d.box,
		SetLogLevel:   d.setLogLevel,
		Further:       append(d.uploadMounts(limits), d.mountCatalog(limits), d.mountBundles(limits)),
		Deployments:   d.deployments(),
	}), limits, d.log))
	d.sockets.handle(listen.Workload, httpapi.NewServer(workload.New(workload.Config{
		Supervisor: d.supervisor, Identities: d.identities, Keys: identity.NewKeys(d.keys), Certificates: d.certificates(), Trust: d.ca, Views: views, Decider: d.decider, Audit: d.audit, Requests: d.requests, Limits: limits,
	}), limits, d.log))
	group, err := edgedGroup()
	if err == nil {
		d.decider.SetOperators(uint32(group))
	}
	for _, s := range []struct {
		name, uri string
		perm      listen.Perm
	}{
		{listen.Management, d.cfg.Listen.Management, listen.Perm{Mode: 0o660, GID: group}},
		{listen.Workload, d.cfg.Listen.Workload, listen.Perm{Mode: 0o666, GID: -1}},
	} {
		l, err := listen.Open(s.uri, d.activation, s.perm)
		if err != nil {
			return err
		}
		if d.peers.Proof() != peer.ProofPIDFD {
			// Whoever waited in the backlog may have exited and left its number to another.
			if _, err := d.peers.DrainBacklog(l); err != nil {
				return err
			}
		}
		d.sockets.serve(listen.ModuleListener{Name: s.name, UnixListener: l})
	}
	if left := d.activation.Untaken(); len(left) > 0 {
		return fmt.Errorf("cannot use socket %s: the configuration's [listen] names another; clients of it would wait for ever", strings.Join(left, ", "))
	}
	return d.sockets.start()
}

// afterStart does what needs containerd, which may be away for long: images that
// came with the device, then the agent.
func (d *daemon) afterStart(ctx context.Context) {
	select {
	case <-d.supervisor.Reconciled():
	case <-ctx.Done():
		return
	}
	if err := d.markBoot(); err != nil {
		d.log.WithError(err).Warn("cannot note that this boot's modules were started")
	}
	if err := d.endRestore(ctx); err != nil && ctx.Err() == nil {
		d.log.WithError(err).Warn("cannot note that the restored modules were made anew")
	}
	tried := make(chan struct{})
	d.goes(func() {
		d.preload(ctx, d.engine.Preload, func() { close(tried) }, func() { d.supervisor.Compare(ctx) })
		close(d.archives)
		// Not before the archives are in: what they have is not for removal.
		d.images.Run(ctx)
	})
	<-tried // the agent's image may be among them
	d.supervisor.KeepAgent(ctx, module.Watchdog{Spec: d.agentSpec(), Notes: d.store, MaxRetries: d.cfg.Agent.MaxRetries, BeforeRetry: func(ctx context.Context) {
		// An agent without an image may get it from an archive that came later.
		if n, err := d.engine.Preload(ctx, d.cfg.PreloadFolders(), d.store); err != nil && ctx.Err() == nil {
			d.log.WithError(err).Error("cannot import all image archives")
		} else if n > 0 {
			d.supervisor.Compare(ctx)
		}
	}})
}

// Between two tries to import archives while containerd is away.
const preloadFirst, preloadLongest = time.Second, time.Minute

// preload imports the archives, again while containerd is away. tried is called after the
// first try, in after each that imported something.
func (d *daemon) preload(ctx context.Context, try func(context.Context, []string, engine.Notes) (int, error), tried, in func()) {
	for wait := preloadFirst; ; wait = min(2*wait, preloadLongest) {
		imported, err := try(ctx, d.cfg.PreloadFolders(), d.store)
		again := errdefs.IsUnavailable(err) && ctx.Err() == nil
		switch {
		case again && wait == preloadFirst: // said once: containerd may be away for long
			d.log.WithError(err).Warn("cannot import all image archives, trying again")
		case err != nil && !again && ctx.Err() == nil: // not what a stop cut short
			d.log.WithError(err).Error("cannot import all image archives")
		}
		if imported > 0 {
			in()
		}
		if wait == preloadFirst {
			tried()
		}
		if !again {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// newImages makes the owner of the device's images.
func (d *daemon) newImages() *image.Keeper {
	protected := []string{d.cfg.AgentImage(version), d.cfg.HostImage(version)}
	for _, ref := range []string{d.cfg.Uploads.RedisImage} {
		if ref != "" {
			protected = append(protected, ref)
		}
	}
	return image.New(image.Config{
		Engine: d.engine, Store: d.store, Keep: d.cfg.Images.Keep.Duration, DiskHigh: d.cfg.Images.DiskHigh, Protected: protected, Removed: d.imageRemoved, Log: d.log,
	})
}

// probe is what the watchdog is fed by: the supervisor's lock can be had, and the
// database answers. What containerd does is not edged's to be restarted for.
func (d *daemon) probe(ctx context.Context) error {
	d.supervisor.List(ctx)
	_, err := d.store.Note(ctx, "watchdog")
	if err != nil {
		d.log.WithError(err).Error("the database does not answer")
	}
	return err
}

// reload takes over what may change while edged runs: grants, the log level, trust, and
// the operator's CA. With an error, what it names stays as it was.
func (d *daemon) reload() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if err := d.notifier.Reloading(); err != nil {
		d.log.WithError(err).Debug("cannot tell the service manager")
	}
	cfg, err := config.Load(d.file)
	if err != nil {
		// Without its class: whoever asks over the socket cannot mend the file.
		err = fmt.Errorf("cannot reload; the old configuration stays: %v", err) //nolint:errorlint // see above
		d.log.Error(err)
	} else {
		d.decider.SetGrants(d.grants(cfg))
		d.reloadLevel(cfg.LogLevel)
		if err = d.reloadTrust(cfg); err != nil {
			err = fmt.Errorf("grants are reloaded; cannot reload trust, what was trusted stays so: %v", err) //nolint:errorlint // as above
			d.log.Error(err)
		} else {
			d.log.Info("reloaded grants and trust")
		}
	}
	if err := d.notifier.Ready(); err != nil {
		d.log.WithError(err).Debug("cannot tell the service manager")
	}
	return err
}

// close ends edged: no new requests, those under way are finished, then what they
// stand on goes. Modules run on.
func (d *daemon) close() {
	_ = d.notifier.Stopping()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	d.cancel()
	if d.sockets != nil {
		d.sockets.close(ctx)
	}
	if d.supervisor != nil {
		d.supervisor.Close(ctx)
	}
	d.closeBundles()
	if d.packages != nil {
		d.packages.Close()
	}
	if d.images != nil {
		d.images.Close()
	}
	d.wg.Wait()
	if d.logs != nil {
		d.warn(d.logs.Close())
	}
	if d.engine != nil {
		d.warn(d.engine.Close())
	}
	if d.networks != nil {
		d.networks.Close()
	}
	d.warn(d.mounts.Close())
	if d.peers != nil {
		d.peers.Close()
	}
	if d.kernel != nil {
		d.kernel.Close()
	}
	if d.caKey != nil {
		d.warn(d.caKey.close())
	}
	if d.keys != nil {
		d.warn(d.keys.Close())
	}
	d.closeCatalog()
	if d.audit != nil {
		d.audit.Close() // what it gathered goes into the database
	}
	if d.store != nil {
		d.warn(d.store.Close())
	}
}

func (d *daemon) warn(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		d.log.WithError(err).Warn("while stopping")
	}
}
