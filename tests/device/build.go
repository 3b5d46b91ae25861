package device

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Build builds a program of the project with a build tag, if it is not empty. Where EDGED_TEST_BUILT names a folder, as on a machine without Go, the program
// was built before and lies there under the name of its folder, "+" and the tag.
func Build(out, pkg, tag string) error {
	if built := os.Getenv("EDGED_TEST_BUILT"); built != "" {
		name := path.Base(pkg)
		if tag != "" {
			name += "+" + tag
		}
		return copyProgram(filepath.Join(built, name), out)
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", out, "-tags", tag, pkg)
	cmd.Dir, cmd.Stderr = Repository(), os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build %s: %w", pkg, err)
	}
	return nil
}

func copyProgram(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return cmp.Or(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o755))
}
