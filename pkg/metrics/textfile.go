package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

// Textfile keeps a file of metrics for a collector that reads files, as node exporter's
// textfile collector does.
type Textfile struct {
	Path  string
	Every time.Duration
	Write func(io.Writer)
	Log   logrus.FieldLogger
}

// Run writes the file until ctx ends, and removes it then: numbers of an edged that stopped
// would pass for new ones. The file of one that was killed stays, and its age tells
// (node_textfile_mtime_seconds).
func (t *Textfile) Run(ctx context.Context) {
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	failed := false
	for {
		err := t.replace()
		if err != nil && !failed {
			t.Log.WithError(err).Error("there is no file of metrics until this is mended")
		}
		failed = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := os.Remove(t.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Log.WithError(err).Warn("cannot remove the file of metrics: what it says is old from now on")
			}
			return
		}
	}
}

// replace writes the file whole or not at all. It is not put on the disk: after a power cut
// what it said is worth nothing, and flash wears.
func (t *Textfile) replace() error {
	var text bytes.Buffer
	t.Write(&text)
	// Always the same name, so that what a kill leaves is overwritten; the collector reads only *.prom. A link that somebody else put
	// there is not followed.
	part := filepath.Join(filepath.Dir(t.Path), "."+filepath.Base(t.Path)+".part")
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write metrics: %w", err)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("cannot write metrics: %w", err)
	}
	_, err = f.Write(text.Bytes())
	// The collector is not root; the umask may be 077.
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(part, t.Path)
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("cannot write metrics: %w", err)
	}
	return nil
}
