package keystore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/keystore"
	"github.com/edged/edged/tests/device"
)

// persistentKey puts a signing key at a handle of a TPM, as an operator does.
func persistentKey(t *testing.T, e *emulator, handle tpm2.TPMHandle) {
	tpm, err := linuxudstpm.Open(e.socket)
	require.NoError(t, err)
	defer tpm.Close()
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
	})}.Execute(tpm)
	require.NoError(t, err)
	_, err = tpm2.EvictControl{Auth: tpm2.TPMRHOwner, ObjectHandle: &tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, PersistentHandle: handle}.Execute(tpm)
	require.NoError(t, err)
	_, err = tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(tpm)
	require.NoError(t, err)
}

// caCertificate is the self-signed certificate of a CA, in a file.
func caCertificate(t *testing.T, key crypto.Signer) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "plant 3"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return path
}

// external opens an operator's key as edged does.
func external(t *testing.T, uri string) crypto.Signer {
	h := newHome(t, uri)
	signer, end, err := keystore.External(t.Context(), h.config())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end()) })
	return signer
}

func TestTheOperatorsCAMayBeInAFileATPMOrAToken(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) (uri string, key crypto.Signer){
		"file": func(t *testing.T) (string, crypto.Signer) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			require.NoError(t, err)
			der, err := x509.MarshalECPrivateKey(key)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "ca.key")
			require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600))
			return path, key
		},
		"TPM": func(t *testing.T) (string, crypto.Signer) {
			tpm := newTPM(t)
			persistentKey(t, tpm, 0x81000017)
			uri := tpm.uri() + "?handle=0x81000017"
			return uri, external(t, uri)
		},
		"token": func(t *testing.T) (string, crypto.Signer) {
			token := newToken(t)
			_, err := newHome(t, strings.Replace(token.uri(), "token=edge", "token=edge;object=plant", 1)).open().Signer(t.Context(), "3")
			require.NoError(t, err)
			uri := strings.Replace(token.uri(), "token=edge", "token=edge;object=plant-3", 1)
			return uri, external(t, uri)
		},
	} {
		t.Run(name, func(t *testing.T) {
			uri, key := make(t)
			config := fmt.Sprintf("[device]\nca_cert = %q\nca_key = %q\n", caCertificate(t, key), uri)
			d := device.New(t, device.Options{NoAgent: true, Config: config})
			ca := deviceCA(t, d, "GET", "")
			require.Equal(t, "operator", ca.Source)
			require.Equal(t, "CN=plant 3", ca.Subject)
			require.Equal(t, ca, deviceCA(t, d, "POST", "/renew"), "it is read again, and the same")
			hup(d)
			d.Eventually("it is reloaded", func() bool { return strings.Contains(d.EdgedLog(), "reloaded grants and trust") })
			require.NotContains(t, d.EdgedLog(), "cannot reload")
		})
	}
}

func TestAnOperatorsKeyThatIsNotThereIsSaid(t *testing.T) {
	tpm, token := newTPM(t), newToken(t)
	for uri, is := range map[string]error{
		tpm.uri() + "?handle=0x81000017":                                 nil,
		strings.Replace(token.uri(), "=edge?", "=edge;object=none?", 1):  errdefs.ErrNotFound,
		strings.Replace(token.uri(), "=edge?", "=edge;id=%01%02%03?", 1): errdefs.ErrNotFound,
		tpm.uri():                             errdefs.ErrInvalidArgument,
		token.uri():                           errdefs.ErrInvalidArgument,
		"file:///etc/passwd":                  errdefs.ErrInvalidArgument,
		"tpm2:/nonexistent?handle=0x81000017": errdefs.ErrUnavailable,
	} {
		_, _, err := keystore.External(t.Context(), newHome(t, uri).config())
		require.Error(t, err, uri)
		if is != nil {
			require.ErrorIs(t, err, is, uri)
		}
	}
}
