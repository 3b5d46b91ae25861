package tpm

import (
	"bytes"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Templates of keys: TPM 2.0 Library, Part 2, 12.2.4.

// attributes bind a key to this TPM and its parent. Without NoDA a power cut that
// the TPM takes for an attack could lock the device out of its keys.
func attributes() tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true}
}

func sealedTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes()}
}

func signingTemplate() tpm2.TPMTPublic {
	a := attributes()
	a.SensitiveDataOrigin, a.SignEncrypt = true, true
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: a,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
		}),
	}
}

// storage is the storage key above all keys of edged, made anew from the TPM's seed
// at each use and always the same: TCG TPM v2.0 Provisioning Guidance, 7.5.1.
type storage struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

func openStorage(t transport.TPM) (*storage, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot make storage key: %w", err)
	}
	public, err := made.OutPublic.Contents()
	if err != nil {
		flush(t, made.ObjectHandle)
		return nil, fmt.Errorf("cannot read storage key: %w", err)
	}
	// The name is computed, not taken: whoever sits on the wires could answer with a key of its own under the right name.
	name, err := tpm2.ObjectName(public)
	if err != nil || !bytes.Equal(name.Buffer, made.Name.Buffer) {
		flush(t, made.ObjectHandle)
		return nil, fmt.Errorf("cannot use storage key: the TPM gives it another name than it has: %w", errdefs.ErrFailedPrecondition)
	}
	return &storage{made.ObjectHandle, *name, *public}, nil
}

func flush(t transport.TPM, h tpm2.TPMHandle) { _, _ = tpm2.FlushContext{FlushHandle: h}.Execute(t) }

// hidden is a session that encrypts what goes over the wires between processor and
// TPM, and proves that the storage key's TPM is the one at the other end. in is for
// commands that have a parameter to encrypt.
func (s *storage) hidden(in bool) tpm2.Session {
	direction := tpm2.EncryptOut
	if in {
		direction = tpm2.EncryptInOut
	}
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.AESEncryption(128, direction), tpm2.Salted(s.handle, s.public))
}

func (s *storage) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: s.handle, Name: s.name, Auth: s.hidden(true)}
}

// create makes a key; secret is what a sealed one holds.
func create(t transport.TPM, template tpm2.TPMTPublic, secret []byte) (*blob, error) {
	parent, err := openStorage(t)
	if err != nil {
		return nil, err
	}
	defer flush(t, parent.handle)
	command := tpm2.Create{ParentHandle: parent.auth(), InPublic: tpm2.New2B(template)}
	if secret != nil {
		command.InSensitive = tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
		}}
	}
	made, err := command.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot make key: %w", err)
	}
	return &blob{Parent: parent.name.Buffer, Public: made.OutPublic.Bytes(), Private: made.OutPrivate.Buffer}, nil
}

// load brings a key back into the TPM. The caller flushes it.
func load(t transport.TPM, parent *storage, b *blob, path string) (*tpm2.LoadResponse, error) {
	if !bytes.Equal(parent.name.Buffer, b.Parent) {
		return nil, &foreign{path}
	}
	loaded, err := tpm2.Load{
		ParentHandle: parent.auth(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: b.Private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](b.Public),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot load key: %w", err)
	}
	return loaded, nil
}

func unseal(t transport.TPM, b *blob, path string) ([]byte, error) {
	parent, err := openStorage(t)
	if err != nil {
		return nil, err
	}
	defer flush(t, parent.handle)
	loaded, err := load(t, parent, b, path)
	if err != nil {
		return nil, err
	}
	defer flush(t, loaded.ObjectHandle)
	opened, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: parent.hidden(false)}}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("cannot open sealed key: %w", err)
	}
	return opened.OutData.Buffer, nil
}
