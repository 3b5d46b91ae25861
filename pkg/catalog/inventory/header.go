package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/edged/edged/pkg/catalog"
)

// The tags of an RPM header that are read here, and their types (rpm's rpmtag.h).
const (
	tagName      = 1000
	tagVersion   = 1001
	tagRelease   = 1002
	tagEpoch     = 1003
	tagArch      = 1022
	tagSourceRPM = 1044

	typeInt32  = 4
	typeString = 6
)

// Bounds of a header, which are RPM's own.
const (
	maxIndex = 0xffff
	maxData  = 0x0fffffff
)

var errHeader = errors.New("not an RPM header")

// parseHeader reads what names a package from its header, as rpm's database keeps it: the
// number of index entries and of bytes of data, the entries of four numbers each, the
// data. ok is false for what is no package, as the keys that rpm keeps in the same place.
func parseHeader(blob []byte) (p catalog.RPM, ok bool, err error) {
	if len(blob) < 8 {
		return p, false, errHeader
	}
	entries, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if entries > maxIndex || size > maxData || int64(len(blob)) < 8+16*int64(entries)+int64(size) {
		return p, false, errHeader
	}
	data := blob[8+16*entries:][:size]
	source := ""
	for i := range entries {
		e := blob[8+16*i:]
		tag, kind, offset := binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:])
		text := map[uint32]*string{tagName: &p.Name, tagVersion: &p.Version, tagRelease: &p.Release, tagArch: &p.Arch, tagSourceRPM: &source}[tag]
		if text == nil && tag != tagEpoch {
			continue
		}
		if offset > size {
			return p, false, errHeader
		}
		switch {
		case text != nil && kind == typeString:
			value, _, ended := bytes.Cut(data[offset:], []byte{0})
			if !ended {
				return p, false, errHeader
			}
			*text = string(value)
		case text == nil && kind == typeInt32 && size-offset >= 4:
			p.Epoch = int64(binary.BigEndian.Uint32(data[offset:]))
		default:
			return p, false, errHeader
		}
	}
	if p.Name == "" || p.Name == "gpg-pubkey" {
		return p, false, nil
	}
	p.SRPMName = p.Name
	src, err := sourceRPM(source)
	if err == nil {
		src.Epoch = p.Epoch // the file's name has none, and packages of one source have the same
		p.SRPMName, p.SRPMNEVRA = src.Name, sourceNEVRA(src.Name, src)
	} else {
		p.SRPMNEVRA = sourceNEVRA(p.Name, p.NEVRA)
	}
	return p, true, nil
}
