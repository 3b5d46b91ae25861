package osgi

import (
	"io"
	"sync"
)

// aheadSize is a few files of a jar.
const aheadSize = 64 << 10

// ahead reads more than it is asked for: the beginnings of a jar's files are looked at one after the other, which are
// thousands of small reads in places that lie close together.
type ahead struct {
	r io.ReaderAt

	mu    sync.Mutex
	block []byte // what was read last
	at    int64  // where it is from
}

func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	if len(p) >= aheadSize || off < 0 {
		return a.r.ReadAt(p, off)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if off < a.at || off+int64(len(p)) > a.at+int64(len(a.block)) {
		if a.block == nil {
			a.block = make([]byte, aheadSize)
		}
		n, err := a.r.ReadAt(a.block[:aheadSize], off)
		a.block, a.at = a.block[:n], off
		if n < len(p) && err != nil {
			return copy(p, a.block), err
		}
	}
	return copy(p, a.block[off-a.at:]), nil
}
