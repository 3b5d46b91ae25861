package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errFrame says that what comes is not in frames, whatever its content type says.
var errFrame = errors.New("cannot read log: this is no frame's header")

// frames takes the payload out of Docker's multiplexed stream: a header of eight
// bytes, which are the stream (0 to 2), three zeros and the payload's length in big
// endian, and the payload; again and again (Docker Engine API, "Stream format").
type frames struct {
	r    io.Reader
	left uint32
}

func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for f.left == 0 {
		var header [8]byte
		if _, err := io.ReadFull(f.r, header[:]); err != nil {
			return 0, err // io.EOF between frames, io.ErrUnexpectedEOF inside of one
		}
		if header[0] > 2 || header[1] != 0 || header[2] != 0 || header[3] != 0 {
			return 0, fmt.Errorf("%w: %x", errFrame, header)
		}
		f.left = binary.BigEndian.Uint32(header[4:])
	}
	if uint64(len(p)) > uint64(f.left) {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	f.left -= uint32(n)
	if errors.Is(err, io.EOF) && f.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
