// Package packtest makes packages for tests, sound ones and others.
package packtest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"time"

	"aead.dev/minisign"
)

// RAMP is a package of a Redis module.
type RAMP struct {
	// Fields of module.json, over those of a sound one; nil leaves one out.
	Fields map[string]any
	// File is the library's name, module.so by default, and Library what is in it: an
	// ELF header for this machine, by default.
	File    string
	Library []byte
	// Files are in the archive besides.
	Files map[string][]byte
	// Store leaves the files as they are.
	Store bool
}

// Library is the least that is taken for a shared object of this machine, and filled up
// to a size.
func Library(size int) []byte {
	head := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00")
	switch runtime.GOARCH {
	case "amd64":
		head[18] = 62
	case "arm64":
		head[18] = 183
	case "arm":
		head[4], head[18] = 1, 40
	}
	return append(head, make([]byte, max(size-len(head), 0))...)
}

// Machine is this machine in the words of uname(1).
func Machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "arm":
		return "armv7l"
	}
	return runtime.GOARCH
}

func (p RAMP) file() string {
	if p.File == "" {
		return "module.so"
	}
	return p.File
}

func (p RAMP) library() []byte {
	if p.Library == nil {
		return Library(64)
	}
	return p.Library
}

// Metadata is module.json.
func (p RAMP) Metadata() []byte {
	sum := sha256.Sum256(p.library())
	fields := map[string]any{
		"architecture": Machine(), "author": "somebody", "capabilities": []string{"types", "replica_of", "types"}, "command_line_args": "",
		"commands":       []map[string]any{{"command_name": "x.get", "command_arity": 2, "flags": []string{"readonly"}, "first_key": 1, "last_key": 1, "step": 1}},
		"config_command": "", "dependencies": map[string]any{}, "optional-dependencies": map[string]any{}, "description": "a module", "display_name": "X",
		"email": "somebody@example.com", "exclude_commands": []string{}, "homepage": "http://example.com", "license": "BSD", "min_redis_pack_version": "5.2",
		"min_redis_version": "4.0", "module_file": p.file(), "module_name": "x", "os": "Linux", "ramp_format_version": 1,
		"run_command_line_args": nil, "semantic_version": "1.2.3", "sha256": hex.EncodeToString(sum[:]), "version": 10203,
	}
	for key, value := range p.Fields {
		if fields[key] = value; value == nil {
			delete(fields, key)
		}
	}
	b, err := json.MarshalIndent(fields, "", "    ")
	if err != nil {
		panic(err)
	}
	return b
}

// Bytes is the package.
func (p RAMP) Bytes() []byte {
	files := map[string][]byte{p.file(): p.library(), "module.json": p.Metadata()}
	maps.Copy(files, p.Files)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] == nil {
			continue
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Unix(1e9, 0)}
		if p.Store {
			h.Method = zip.Store
		}
		Entry(w, h, files[name])
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Entry writes one file of a zip archive.
func Entry(w *zip.Writer, h *zip.FileHeader, body []byte) {
	f, err := w.CreateHeader(h)
	if err != nil {
		panic(err)
	}
	if _, err := f.Write(body); err != nil {
		panic(err)
	}
}

// Zip is an archive of files in this order; they may have the same name twice.
func Zip(headers []*zip.FileHeader, bodies ...[]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, h := range headers {
		Entry(w, h, bodies[i])
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// File is a file of a tar archive; sizes that are left out are those of the bodies.
type File struct {
	tar.Header
	Body []byte
}

// Tar is an archive of files in this order.
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Size == 0 {
			h.Size = int64(len(f.Body))
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := w.Write(f.Body); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Plain is a file of a tar archive.
func Plain(name string, body []byte) File { return File{tar.Header{Name: name}, body} }

// Gzip compresses.
func Gzip(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(body); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// SHA256 is the digest in hexadecimal.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Signer signs as minisign does.
type Signer struct {
	// Public is the text of its public key.
	Public []byte
	key    minisign.PrivateKey
}

// NewSigner makes a key.
func NewSigner() *Signer {
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	text, err := public.MarshalText()
	if err != nil {
		panic(err)
	}
	return &Signer{text, private}
}

// Sign signs with a trusted comment.
func (s *Signer) Sign(message []byte, comment string) []byte {
	r := minisign.NewReader(bytes.NewReader(message))
	if _, err := bytes.NewBuffer(nil).ReadFrom(r); err != nil {
		panic(err)
	}
	return r.SignWithComments(s.key, comment, "signature of a test")
}

// SignLegacy signs the message itself instead of its hash.
func (s *Signer) SignLegacy(message []byte) []byte { return minisign.Sign(s.key, message) }
