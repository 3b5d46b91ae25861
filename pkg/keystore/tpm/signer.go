package tpm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/containerd/errdefs"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// signer is a P-256 key pair whose private key stays in the TPM.
type signer struct {
	device *device
	public *ecdsa.PublicKey
	// blob is nil for a key at a persistent handle.
	blob *blob

	// What is loaded now: the device's goroutine's alone.
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
}

func newSigner(ctx context.Context, d *device, b *blob) (crypto.Signer, error) {
	encoded := tpm2.BytesAs2B[tpm2.TPMTPublic](b.Public)
	contents, err := encoded.Contents()
	if err != nil {
		return nil, fmt.Errorf("cannot read public key (%w): %w", err, errdefs.ErrFailedPrecondition)
	}
	s := &signer{device: d, blob: b}
	if s.public, err = publicKey(contents); err != nil {
		return nil, err
	}
	// Loaded at once: a key of another TPM has to be told of now, not with the first certificate.
	_, err = use(ctx, d, func(t transport.TPM) (struct{}, error) { return struct{}{}, s.load(t) })
	return s, err
}

func persistentSigner(ctx context.Context, d *device, h tpm2.TPMHandle) (crypto.Signer, error) {
	read, err := use(ctx, d, func(t transport.TPM) (*tpm2.ReadPublicResponse, error) {
		return tpm2.ReadPublic{ObjectHandle: h}.Execute(t)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read key at handle %#x: %w", uint32(h), err)
	}
	contents, err := read.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("cannot read key at handle %#x: %w", uint32(h), err)
	}
	public, err := publicKey(contents)
	if err != nil {
		return nil, err
	}
	return &signer{device: d, public: public, handle: h, name: read.Name}, nil
}

func publicKey(p *tpm2.TPMTPublic) (*ecdsa.PublicKey, error) {
	unusable := func(err error) error {
		return fmt.Errorf("cannot use key: it is not a P-256 key (%w): %w", err, errdefs.ErrFailedPrecondition)
	}
	parms, err := p.Parameters.ECCDetail()
	if err != nil {
		return nil, unusable(err)
	}
	point, err := p.Unique.ECC()
	if err != nil {
		return nil, unusable(err)
	}
	if parms.CurveID != tpm2.TPMECCNistP256 || len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return nil, unusable(fmt.Errorf("curve %v", parms.CurveID))
	}
	uncompressed := make([]byte, 65)
	uncompressed[0] = 4
	new(big.Int).SetBytes(point.X.Buffer).FillBytes(uncompressed[1:33])
	new(big.Int).SetBytes(point.Y.Buffer).FillBytes(uncompressed[33:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
	if err != nil {
		return nil, unusable(err)
	}
	return key, nil
}

func (s *signer) load(t transport.TPM) error {
	parent, err := openStorage(t)
	if err != nil {
		return err
	}
	defer flush(t, parent.handle)
	loaded, err := load(t, parent, s.blob, s.device.path)
	if err != nil {
		return err
	}
	s.handle, s.name = loaded.ObjectHandle, loaded.Name
	return nil
}

// Public is an *ecdsa.PublicKey.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign signs a SHA-256 digest. Errors: errdefs.Unavailable, errdefs.InvalidArgument
// for other digests.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, fmt.Errorf("cannot sign: the TPM's key signs SHA-256 digests alone: %w", errdefs.ErrInvalidArgument)
	}
	signature, err := use(context.Background(), s.device, func(t transport.TPM) ([]byte, error) {
		der, err := s.sign(t, digest)
		if lost(err) && s.blob != nil {
			// The TPM was restarted.
			if err := s.load(t); err != nil {
				return nil, err
			}
			der, err = s.sign(t, digest)
		}
		return der, err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	return signature, nil
}

// lost says that what was loaded is not there any more.
func lost(err error) bool {
	return errors.Is(err, tpm2.TPMRCHandle) || errors.Is(err, tpm2.TPMRCReferenceH0)
}

func (s *signer) sign(t transport.TPM, digest []byte) ([]byte, error) {
	made, err := tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: s.handle, Name: s.name, Auth: tpm2.PasswordAuth(nil)},
		Digest:    tpm2.TPM2BDigest{Buffer: digest},
		InScheme: tpm2.TPMTSigScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}),
		},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	signature, err := made.Signature.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature.SignatureR.Buffer), new(big.Int).SetBytes(signature.SignatureS.Buffer),
	})
}
