package uploads

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/pack"
	"github.com/edged/edged/pkg/upload"
)

// views are ready bytes: of each package as long as it is the same value, and of the list
// as long as it is the same snapshot.
type views struct {
	mu   sync.Mutex
	of   *upload.Snapshot
	list []byte
	each map[*upload.Package][]byte
}

// all is the whole list as JSON.
func (v *views) all(s *upload.Snapshot) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == s {
		return v.list, nil
	}
	each := make(map[*upload.Package][]byte, len(s.Packages))
	var list bytes.Buffer
	list.WriteByte('[')
	for i, p := range s.Packages {
		b := v.each[p]
		if b == nil {
			var err error
			if b, err = json.Marshal(encode(p)); err != nil {
				return nil, err
			}
		}
		each[p] = b
		if i > 0 {
			list.WriteByte(',')
		}
		list.Write(b)
	}
	list.WriteByte(']')
	v.of, v.list, v.each = s, list.Bytes(), each
	return v.list, nil
}

// encode gives a package the shape of the contract.
func encode(p *upload.Package) *wire.PackageModule {
	m := &wire.PackageModule{
		UID: p.UID, ModuleName: p.Name, Version: p.Version, SemanticVersion: p.SemanticVersion, SHA256: p.SHA256,
		Architecture: p.Architecture, OS: p.OS, OSList: []string{}, Capabilities: []string{}, CRDB: json.RawMessage("{}"),
		Dependencies: map[string]wire.PackageDependency{}, Platforms: map[string]wire.PackagePlatform{},
		Edged: wire.PackageFacts{
			Created: p.Created.UTC().Format(time.RFC3339), Format: string(p.Format), Image: p.Image.Name, ImagePending: p.Image.Pending, Size: p.Size,
		},
	}
	if p.Signed != nil {
		m.Edged.SignedBy = p.Signed.KeyID
	}
	if p.Metadata != nil {
		encodeMetadata(m, p.Metadata)
	}
	systems := m.OSList
	if len(systems) == 0 {
		systems = []string{strings.ToLower(p.OS)}
	}
	for _, system := range systems {
		m.Platforms[system+"/"+p.Architecture] = wire.PackagePlatform{Dependencies: m.Dependencies, SHA256: p.SHA256}
	}
	return m
}

func encodeMetadata(m *wire.PackageModule, d *pack.Metadata) {
	m.Author, m.BigstoreVersion2Support, m.CapabilityName = d.Author, d.BigstoreVersion2Support, d.CapabilityName
	m.CommandLineArgs, m.CompatibleRedisVersion, m.ConfigCommand = d.CommandLineArgs, d.CompatibleRedisVersion, d.ConfigCommand
	m.Description, m.DisplayName, m.Email, m.Homepage, m.License = d.Description, d.DisplayName, d.Email, d.Homepage, d.License
	m.MinRedisPackVersion, m.MinRedisVersion, m.ModuleFile = d.MinRedisPackVersion, d.MinRedisVersion, d.File
	m.Capabilities = append(m.Capabilities, d.Capabilities...)
	m.OSList = append(m.OSList, d.OSList...)
	if len(d.CRDB) > 0 {
		m.CRDB = d.CRDB
	}
	for _, dep := range d.Dependencies {
		m.Dependencies[dep.Name] = wire.PackageDependency{SHA256: dep.SHA256, URL: dep.URL}
	}
}

func encodeAction(a *upload.Action) wire.PackageAction {
	return wire.PackageAction{
		ActionUID: a.UID, TaskID: a.UID, Name: a.Name, NodeUID: "1", ObjectName: "module:" + a.Package, CreationTime: strconv.FormatInt(a.Begun.Unix(), 10),
		Progress: strconv.Itoa(a.Progress), Status: string(a.Status), ErrorCode: string(a.Code), ErrorMessage: a.Message,
	}
}
