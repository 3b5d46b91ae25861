package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/edged/edged/pkg/file"
)

// Names in a home. What begins with restorePrefix is being unpacked and means nothing yet;
// the folder restoring is whole, and its plan is to be carried out, whoever comes first.
const (
	restorePrefix = ".restore-"
	restoring     = ".restoring"
	planFile      = "plan.json"
)

// plan is what is to be done with what was unpacked. Each step of it can be done again, from
// wherever a power cut has ended it.
type plan struct {
	// Aside is the folder of the home for what was there before.
	Aside string `json:"aside"`
	// Entries are the names that are replaced.
	Entries []string `json:"entries"`
	// Back says that it could not be carried out and is to be undone.
	Back bool `json:"back,omitempty"`
}

// Settle ends what a power cut has left of a restore: all of the backup is there afterwards,
// or all of what was there before. It is to be called before anything of a home is used. What
// a backup that was killed has left goes, too.
// Errors: errdefs.FailedPrecondition while edged runs, else the disk's.
func Settle(home string) error {
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	release, err := Lock(home)
	if err != nil {
		return err
	}
	defer release()
	return settle(home)
}

// settle is Settle for who holds the Lock.
func settle(home string) error {
	if err := sweepScratch(home); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(home, restorePrefix+"*"))
	if err != nil {
		return err
	}
	for _, folder := range left { // there are keys in it
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("cannot remove what is left of a restore: %w", err)
		}
	}
	var p plan
	text, err := file.Read(filepath.Join(home, restoring, planFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(filepath.Join(home, restoring)) // it was done but for this
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil {
		err = p.goOn(home)
	}
	if err != nil {
		return fmt.Errorf("cannot finish a restore that was cut: %w", err)
	}
	return nil
}

// swap puts what was unpacked in the place of what is there, or leaves all as it was.
func swap(staged, home, aside string) error {
	p := plan{Aside: aside}
	err := p.begin(staged, home)
	if err == nil {
		err = p.goOn(home)
	}
	switch {
	case err == nil:
		return nil
	case there(filepath.Join(home, restoring)):
		return errors.Join(err, p.takeBack(home))
	}
	_ = os.Remove(filepath.Join(home, aside)) // if it was made, it is empty
	return err
}

// begin makes the folder of what was unpacked the one that is to be carried out.
func (p *plan) begin(staged, home string) error {
	entries, err := os.ReadDir(filepath.Join(staged, "home"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		p.Entries = append(p.Entries, e.Name())
	}
	if err := os.Mkdir(filepath.Join(home, p.Aside), 0o700); err != nil {
		return err
	}
	if err := p.write(staged); err != nil {
		return err
	}
	folder, err := os.Open(staged)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("cannot put what was unpacked on the disk: %w", err)
	}
	if err := os.Rename(staged, filepath.Join(home, restoring)); err != nil {
		return err
	}
	return file.SyncFolder(home)
}

func (p *plan) write(folder string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return file.Write(filepath.Join(folder, planFile), text, 0o600, -1)
}

// move is one rename, of what may be there or not.
type move struct{ from, to string }

// moves are the renames that are still to be made, in their order.
func (p *plan) moves(home string) (all []move) {
	aside, staged := filepath.Join(home, p.Aside), filepath.Join(home, restoring, "home")
	between := func(from, to, name string) {
		if there(filepath.Join(from, name)) && !there(filepath.Join(to, name)) {
			all = append(all, move{filepath.Join(from, name), filepath.Join(to, name)})
		}
	}
	for _, name := range p.Entries {
		// What lies beside a database belongs to it and to no other.
		names := []string{name}
		if filepath.Ext(name) == ".db" {
			names = []string{name + "-wal", name + "-shm", name}
		}
		switch {
		case !p.Back && there(filepath.Join(staged, name)):
			for _, n := range names {
				between(home, aside, n)
			}
			all = append(all, move{filepath.Join(staged, name), filepath.Join(home, name)})
		case p.Back:
			between(home, staged, name)
			for _, n := range slices.Backward(names) {
				if there(filepath.Join(aside, n)) {
					all = append(all, move{filepath.Join(aside, n), filepath.Join(home, n)})
				}
			}
		}
	}
	return all
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// goOn makes the renames, and then there is no plan any more.
func (p *plan) goOn(home string) error {
	for _, m := range p.moves(home) {
		if err := os.Rename(m.from, m.to); err != nil {
			return err
		}
	}
	aside, folder := filepath.Join(home, p.Aside), filepath.Join(home, restoring)
	// On the disk before the plan is gone.
	if err := errors.Join(file.SyncFolder(aside), file.SyncFolder(home)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(folder, planFile)); err != nil {
		return err
	}
	if p.Back {
		_ = os.Remove(aside) // it is empty
	}
	return errors.Join(os.RemoveAll(folder), file.SyncFolder(home))
}

// takeBack undoes what was done of a plan that cannot be carried out.
func (p *plan) takeBack(home string) error {
	p.Back = true
	if err := p.write(filepath.Join(home, restoring)); err != nil {
		return err
	}
	return p.goOn(home)
}

// replaceFiles copies the files of one folder, and of those in it, over another.
func replaceFiles(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o750)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		st, err := entry.Info()
		if err != nil {
			return err
		}
		b, err := file.ReadIn(from, rel, 1<<20)
		if err != nil {
			return err
		}
		return file.Write(target, b, st.Mode().Perm(), -1)
	})
}
