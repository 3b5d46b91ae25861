package main

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edged/edged/pkg/ca"
	"github.com/edged/edged/pkg/config"
	"github.com/edged/edged/pkg/identity"
	"github.com/edged/edged/pkg/keystore"
	"github.com/edged/edged/pkg/module"
	"github.com/edged/edged/pkg/store"
)

// Times of what may have to ask a TPM or a token.
const (
	keysTimeout   = time.Minute
	reloadTimeout = 30 * time.Second
)

func keyFolder(cfg *config.Config) string { return filepath.Join(cfg.Home, "keys") }

// keyConfig says where keys are that a URI names.
func (d *daemon) keyConfig(uri string) keystore.Config {
	helper, err := findProgram("edged-pkcs11")
	if err != nil {
		helper = "edged-pkcs11" // the error when it is started names it
	}
	return keystore.Config{
		URI: uri, Folder: keyFolder(d.cfg), Helper: helper, Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), MountNS: d.mounts, Notes: d.store, Warn: d.log.Warnf,
	}
}

// openKeys opens the keystore and what stands on it: sealed columns and the device CA.
func (d *daemon) openKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	var err error
	if d.keys, err = keystore.Open(ctx, d.keyConfig(d.cfg.Keystore.URI)); err != nil {
		return err
	}
	d.log.Infof("keys are in %s", d.keys.Place())
	sealer, err := d.keys.Sealer(ctx, "database")
	if err != nil {
		return err
	}
	secrets, err := d.keys.Sealer(ctx, "secrets")
	if err != nil {
		return err
	}
	d.openSecrets(secrets)
	if err := d.store.SealWith(ctx, sealer, filepath.Join(keyFolder(d.cfg), "seal")); err != nil {
		return err
	}
	cfg := ca.Config{
		Keys: d.keys, Notes: d.store, DeviceID: deviceID(d.cfg), TrustBundle: d.cfg.Device.TrustBundle,
		KeyType: ca.KeyType(d.cfg.Device.KeyType), Log: d.log,
	}
	if d.cfg.Device.CACert != "" {
		d.caKey = &caKey{config: d.keyConfig(d.cfg.Device.CAKey)}
		cfg.Operator = &ca.Operator{CertFile: d.cfg.Device.CACert, Key: d.caKey.open}
	}
	d.ca, err = ca.Open(ctx, cfg)
	return err
}

// reloadTrust reads again what modules shall trust, and the operator's CA.
func (d *daemon) reloadTrust(cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	return d.ca.Reload(ctx, cfg.Device.TrustBundle)
}

// caKey is the key of the operator's CA. A file is read each time, because the
// operator may have put another in its place; a TPM or token is opened once.
type caKey struct {
	config keystore.Config
	signer crypto.Signer
	end    func() error
}

func (k *caKey) open(ctx context.Context) (crypto.Signer, error) {
	if strings.HasPrefix(k.config.URI, "/") {
		return ca.ReadKey(k.config.URI)
	}
	if k.signer != nil {
		return k.signer, nil
	}
	var err error
	k.signer, k.end, err = keystore.External(ctx, k.config)
	return k.signer, err
}

func (k *caKey) close() error {
	if k.end == nil {
		return nil
	}
	return k.end()
}

// giveUpKeys is --new-keys: the way out for a device whose keys are lost. It fails
// while edged runs.
func giveUpKeys(ctx context.Context, cfg *config.Config, out io.Writer) error {
	s, err := store.Open(ctx, cfg.Home, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	credentials, err := s.ForgetSealed(ctx)
	if err != nil {
		return err
	}
	aside, err := keystore.GiveUp(ctx, keystore.Config{URI: cfg.Keystore.URI, Folder: keyFolder(cfg), Notes: s}, time.Now())
	if err != nil {
		return err
	}
	if err := s.SetNote(ctx, ca.Note, ""); err != nil {
		return err
	}
	if aside != "" {
		fmt.Fprintf(out, "the old key files are in %s\n", aside)
	}
	fmt.Fprintln(out, "sealed secrets in deployments cannot be opened any more: seal them anew, edgectl secret seal")
	fmt.Fprintf(out, "%d registry passwords are forgotten: edgeAgent has to give them again\n", credentials)
	if strings.HasPrefix(cfg.Keystore.URI, "pkcs11:") {
		fmt.Fprintln(out, "the keys in the token are not touched: those that edged finds there when it starts are used")
	}
	fmt.Fprintln(out, "edged makes the keys that are not there, and a new device CA, when it starts; modules have to fetch certificates and trust bundle anew")
	return nil
}

// certificates says which certificates modules may have.
func (d *daemon) certificates() *identity.Certificates {
	return &identity.Certificates{
		Authority: d.ca, Device: deviceID(d.cfg), Hub: d.cfg.Device.Hub, Gateway: gateway(d.cfg),
		Spec: func(ctx context.Context, name string) (*module.Spec, error) {
			state, err := d.supervisor.Get(ctx, name)
			if err != nil {
				return nil, err
			}
			return &state.Spec, nil
		},
	}
}
