// Imagetar packs files of this machine as a container image archive that containerd and Docker import; it needs neither of them.
//
//	imagetar -o agent.tar -ref edged.local/agent:1.0 -entrypoint /agent -user 65532:65532 -file bin/agent=/agent
//
// A file that anyone may execute gets mode 0755 in the image, any other 0644, and its owner is root, so that the umask and the user of the
// building machine leave no trace. SOURCE_DATE_EPOCH (reproducible-builds.org) gives the image's time, else it is 1970-01-01.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/edged/edged/contrib/imagetar/archive"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "imagetar:", err)
		os.Exit(1)
	}
}

func run(args []string, epoch string, usage io.Writer) error {
	img := archive.Image{Layers: []archive.Layer{{}}}
	files := img.Layers[0]
	c := &img.Config

	flags := flag.NewFlagSet("imagetar", flag.ContinueOnError)
	flags.SetOutput(usage)
	out := flags.String("o", "", "write the archive to `FILE`")
	platform := flags.String("platform", runtime.GOOS+"/"+runtime.GOARCH, "`OS/ARCH[/VARIANT]` of the image")
	flags.StringVar(&img.Ref, "ref", "", "`NAME[:TAG]` of the image")
	flags.BoolVar(&img.Compress, "gzip", false, "compress the layer")
	flags.StringVar(&c.User, "user", "", "`USER[:GROUP]` that the first process runs as")
	flags.StringVar(&c.WorkingDir, "workdir", "", "`FOLDER` that the first process starts in")
	flags.StringVar(&c.StopSignal, "stop-signal", "", "`SIGNAL` that stops a container")
	flags.Func("entrypoint", "an `ARGUMENT` of the entry point; repeatable", func(v string) error { c.Entrypoint = append(c.Entrypoint, v); return nil })
	flags.Func("cmd", "an `ARGUMENT` of the default command; repeatable", func(v string) error { c.Cmd = append(c.Cmd, v); return nil })
	flags.Func("env", "`KEY=VALUE` in the environment; repeatable", func(v string) error { c.Env = append(c.Env, v); return nil })
	flags.Func("label", "`KEY=VALUE` of the image; repeatable", func(v string) error { return put(&c.Labels, v) })
	flags.Func("volume", "`FOLDER` that is a volume; repeatable", func(v string) error { return mark(&c.Volumes, v) })
	flags.Func("port", "`PORT/PROTOCOL` that the image serves; repeatable", func(v string) error { return mark(&c.ExposedPorts, v) })
	flags.Func("file", "put a file in the image, `FROM=PATH`; repeatable", func(v string) error { return addFile(files, v) })
	flags.Func("dir", "put what is in a folder in the image, `FROM=PATH`; repeatable", func(v string) error { return addFolder(files, v) })
	flags.Func("own", "make a folder in the image somebody's, `PATH=UID:GID`; repeatable", func(v string) error { return addOwned(files, v) })
	flags.Func("link", "make a symbolic link in the image, `TARGET=PATH`; repeatable", func(v string) error { return addLink(files, v) })
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("cannot read flags: %w", err)
	}
	if *out == "" || img.Ref == "" || flags.NArg() > 0 {
		return fmt.Errorf("cannot pack image: -o and -ref are needed, and nothing but flags")
	}

	var err error
	if img.Platform, err = parsePlatform(*platform); err != nil {
		return err
	}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("cannot read SOURCE_DATE_EPOCH: %w", err)
		}
		img.Created = time.Unix(seconds, 0)
	}
	return writeFile(*out, img)
}

func parsePlatform(s string) (ocispec.Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return ocispec.Platform{}, fmt.Errorf("cannot read platform %q: not OS/ARCH[/VARIANT]", s)
	}
	p := ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func put(m *map[string]string, v string) error {
	key, value, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("%q is not KEY=VALUE", v)
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
	return nil
}

func mark(m *map[string]struct{}, v string) error {
	if *m == nil {
		*m = map[string]struct{}{}
	}
	(*m)[v] = struct{}{}
	return nil
}

func addFile(files archive.Layer, v string) error {
	from, to, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("%q is not FROM=PATH", v)
	}
	file, err := readFile(from)
	if err != nil {
		return err
	}
	files[to] = file
	return nil
}

func readFile(from string) (archive.File, error) {
	info, err := os.Stat(from)
	if err != nil {
		return archive.File{}, fmt.Errorf("cannot read file: %w", err)
	}
	body, err := os.ReadFile(from)
	if err != nil {
		return archive.File{}, fmt.Errorf("cannot read file: %w", err)
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return archive.File{Body: body, Mode: mode}, nil
}

// addFolder takes a folder's files and symbolic links, and its empty folders, which would else be missed.
func addFolder(files archive.Layer, v string) error {
	from, to, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("%q is not FROM=PATH", v)
	}
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("cannot read folder: %w", err)
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		in := path.Join(to, filepath.ToSlash(rel))
		switch {
		case entry.IsDir():
			if in != "/" {
				files[in] = archive.File{Mode: fs.ModeDir}
			}
			return nil
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			files[in] = archive.File{Link: target}
			return err
		case !entry.Type().IsRegular():
			return fmt.Errorf("cannot pack %s: it is neither a file, a folder nor a link", name)
		}
		files[in], err = readFile(name)
		return err
	})
}

func addOwned(files archive.Layer, v string) error {
	name, owner, ok := strings.Cut(v, "=")
	uid, gid, both := strings.Cut(owner, ":")
	u, err1 := strconv.ParseUint(uid, 10, 31)
	g, err2 := strconv.ParseUint(gid, 10, 31)
	if !ok || !both || err1 != nil || err2 != nil {
		return fmt.Errorf("%q is not PATH=UID:GID", v)
	}
	files[name] = archive.File{Mode: fs.ModeDir | 0o700, UID: int(u), GID: int(g)}
	return nil
}

func addLink(files archive.Layer, v string) error {
	target, name, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("%q is not TARGET=PATH", v)
	}
	files[name] = archive.File{Link: target}
	return nil
}

// writeFile replaces the file at once or not at all: a build that was cut off leaves no half archive which looks newer than its sources.
func writeFile(name string, img archive.Image) error {
	var b bytes.Buffer
	if err := archive.Write(&b, img); err != nil {
		return fmt.Errorf("cannot pack image: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("cannot write archive: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(b.Bytes())
	if chmodErr := tmp.Chmod(0o644); err == nil {
		err = chmodErr
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("cannot write archive: %w", err)
	}
	return nil
}
