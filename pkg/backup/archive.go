package backup

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// infoFile is the first member of an archive, Format its version.
const (
	infoFile = "backup.json"
	Format   = 1
)

// Info says what an archive is.
type Info struct {
	Format int `json:"format"`
	// Version of the edged that wrote it, and Schema of its database.
	Version string `json:"version"`
	Schema  int64  `json:"schema"`
	// CatalogSchema is of the catalog's database; 0 when it is not in it.
	CatalogSchema int64 `json:"catalogSchema,omitempty"`
	// Created is RFC 3339 in UTC, Host the name of the device.
	Created string `json:"created"`
	Host    string `json:"host"`
	// Keys and Volumes say whether they are in it.
	Keys    bool `json:"keys"`
	Volumes bool `json:"volumes"`
}

// Source is what is put into an archive.
type Source struct {
	Info Info
	// Home and Config are folders; Database and Catalog are copies of the databases that
	// stand for those in Home. Catalog may be missing.
	Home, Config, Database, Catalog string
	// ConfigFiles are the files and folders of Config that belong to the configuration:
	// whatever else lies beside them is nobody's business here.
	ConfigFiles []string
}

// Write writes an archive. A file that goes meanwhile is left out.
func Write(w io.Writer, s Source) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	b, err := json.MarshalIndent(s.Info, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", infoFile, err)
	}
	err = t.WriteHeader(&tar.Header{Name: infoFile, Mode: 0o600, Size: int64(len(b)), ModTime: time.Now(), Format: tar.FormatPAX})
	if err == nil {
		_, err = t.Write(b)
	}
	parts := []struct{ from, to string }{
		{s.Database, "home/edged.db"},
		{s.Catalog, "home/catalog.db"},
		{filepath.Join(s.Home, "agent", "desired"), "home/agent/desired"},
		{filepath.Join(s.Home, "agent", "status"), "home/agent/status"},
	}
	for _, name := range s.ConfigFiles {
		parts = append(parts, struct{ from, to string }{filepath.Join(s.Config, name), filepath.Join("config", name)})
	}
	if s.Info.Keys {
		parts = append(parts, struct{ from, to string }{filepath.Join(s.Home, "keys"), "home/keys"})
	}
	if s.Info.Volumes {
		parts = append(parts, struct{ from, to string }{filepath.Join(s.Home, "volumes"), "home/volumes"})
	}
	for _, p := range parts {
		if err == nil && p.from != "" {
			err = add(t, p.from, p.to)
		}
	}
	if err = errors.Join(err, t.Close(), z.Close()); err != nil {
		return fmt.Errorf("cannot write backup: %w", err)
	}
	return nil
}

// reader goes through an archive, behind its Info.
type reader struct {
	tar  *tar.Reader
	info Info
}

func open(r io.Reader) (*reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("cannot read backup: %w", err)
	}
	a := &reader{tar: tar.NewReader(z)}
	h, err := a.tar.Next()
	if err == nil && h.Name != infoFile {
		err = errors.New("it does not begin with " + infoFile)
	}
	if err == nil {
		err = json.NewDecoder(io.LimitReader(a.tar, 1<<20)).Decode(&a.info)
	}
	if err == nil && a.info.Format != Format {
		err = fmt.Errorf("its format is %d, this edgectl knows %d", a.info.Format, Format)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read backup: %w", err)
	}
	return a, nil
}

// ReadInfo reads what an archive is.
func ReadInfo(r io.Reader) (Info, error) {
	a, err := open(r)
	if err != nil {
		return Info{}, err
	}
	return a.info, nil
}

// allowed are the only places of an archive's members: whoever changed it puts nothing
// elsewhere.
func allowed(name string) bool {
	name = strings.TrimSuffix(name, "/")
	if !filepath.IsLocal(name) || filepath.Clean(name) != name {
		return false
	}
	for _, place := range []string{"home/edged.db", "home/catalog.db", "home/agent", "home/keys", "home/volumes", "config"} {
		if name == place || strings.HasPrefix(name, place+"/") {
			return true
		}
	}
	return false
}
