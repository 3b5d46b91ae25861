package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
)

const (
	// maxFileSize bounds one file, maxDropIns their number: what is larger is
	// not a configuration.
	maxFileSize = 1 << 20
	maxDropIns  = 256
	dropInDir   = "config.d"
)

// Load reads file and then the *.toml files of the folder config.d beside it,
// in the order of their names. A key in a later file overrides the same key in
// an earlier one, arrays as a whole; agent.env is merged by name, and [[grant]]
// tables add up. Only DefaultFile may be absent.
//
// Faults are joined into one error, each an *Error with its position, of the
// class errdefs.ErrInvalidArgument.
func Load(file string) (*Config, error) {
	l := loader{defaultFile: DefaultFile, hostname: os.Hostname}
	c, err := l.load(file)
	if err != nil {
		return nil, fmt.Errorf("cannot load configuration: %w", err)
	}
	return c, nil
}

// loader is Load with what it takes from the machine.
type loader struct {
	defaultFile string
	hostname    func() (string, error)
}

func (l loader) load(file string) (*Config, error) {
	files, err := l.files(file)
	if err != nil {
		return nil, err
	}
	m := merger{
		config: Default(),
		schema: newSchema(),
		tables: map[string]int{"grant": 1}, // the built-in one
		places: make(map[string]place),
	}
	for _, f := range files {
		document, err := readFile(f)
		if f == file && file == l.defaultFile && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := m.merge(f, document); err != nil {
			return nil, err
		}
	}
	v := validator{config: m.config, places: m.places}
	v.validate(l.hostname)
	return m.config, errors.Join(v.faults...)
}

// files are file and its drop-ins, in the order in which they are read.
func (l loader) files(file string) ([]string, error) {
	files := []string{file}
	dir := filepath.Join(filepath.Dir(file), dropInDir)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read drop-ins: %w", err)
	}
	for _, e := range entries { // sorted by name
		if name := e.Name(); strings.HasSuffix(name, ".toml") && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	if n := len(files) - 1; n > maxDropIns {
		return nil, fmt.Errorf("cannot read drop-ins: %s has %d, it may have %d", dir, n, maxDropIns)
	}
	return files, nil
}

// readFile reads a regular file of a bounded size.
func readFile(file string) ([]byte, error) {
	// O_NONBLOCK: a named pipe in its place must not hold up the start.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read file: %s is not a regular file", file)
	}
	document, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read file: %w", err)
	}
	if len(document) > maxFileSize {
		return nil, fmt.Errorf("cannot read file: %s has more than %s", file, Size(maxFileSize))
	}
	return document, nil
}

// place is where a key was set last.
type place struct {
	file         string
	line, column int
}

// merger lays documents over one another.
type merger struct {
	config *Config
	schema schema
	tables map[string]int
	places map[string]place
}

func (m *merger) merge(file string, document []byte) error {
	entries := outline(document, m.tables)
	if err := checkVersion(file, entries); err != nil {
		return err
	}
	// What adds up is decoded apart: the decoder would replace it.
	grants, env := m.config.Grants, m.config.Agent.Env
	m.config.Grants, m.config.Agent.Env = nil, nil

	d := toml.NewDecoder(bytes.NewReader(document)).DisallowUnknownFields()
	decoded := d.Decode(m.config)
	var unknown *toml.StrictMissingError
	var syntax *toml.DecodeError
	if errors.As(decoded, &syntax) && !errors.As(decoded, &unknown) {
		return decodeFault(file, syntax)
	}
	var faults []error
	for _, e := range entries {
		if fault := m.schema.check(file, e); fault != nil {
			faults = append(faults, fault)
		}
		m.places[e.key] = place{file, e.line, e.column}
	}
	switch {
	case len(faults) > 0:
		return errors.Join(faults...)
	case unknown != nil: // a key that only looks like one of ours: 'grant[0]'
		return decodeFault(file, &unknown.Errors[0])
	case decoded != nil:
		return &Error{File: file, Message: decoded.Error()}
	}
	m.config.Grants = append(grants, m.config.Grants...)
	for name, value := range m.config.Agent.Env {
		env[name] = value
	}
	m.config.Agent.Env = env
	return nil
}

// decodeFault is what the decoder found, with its position.
func decodeFault(file string, err *toml.DecodeError) *Error {
	line, column := err.Position()
	return &Error{File: file, Line: line, Column: column, Key: strings.Join(err.Key(), "."), Message: strings.TrimPrefix(err.Error(), "toml: ")}
}

// checkVersion comes before all else: what a later format means by its keys is
// not for this program to judge.
func checkVersion(file string, entries []entry) error {
	for _, e := range entries {
		if e.key == "version" && e.text != strconv.Itoa(FormatVersion) {
			return &Error{File: file, Line: e.line, Column: e.column, Key: e.key, Message: fmt.Sprintf("this edged reads version %d alone", FormatVersion)}
		}
	}
	return nil
}
