package pack

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression is how a tar archive is made smaller, in the words of media types.
type compression string

const (
	plain     compression = ""
	gzipped   compression = "gzip"
	zstandard compression = "zstd"
)

// maxWindow is the most memory that a zstd stream may ask for. It is what every decoder
// has to have (RFC 8878, 3.1.1.1.2), and what the command line tool asks for without --long.
const maxWindow = 8 << 20

// decompress looks at the first bytes of r and undoes what they say. The caller closes
// the result, and reads r to its end where that matters.
func decompress(r io.Reader) (io.ReadCloser, compression, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(len(zstdMagic))
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(in)
		return z, gzipped, err
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, zstandard, err
		}
		return z.IOReadCloser(), zstandard, nil
	}
	return io.NopCloser(in), plain, nil
}
