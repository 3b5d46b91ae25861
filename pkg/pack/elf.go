package pack

import (
	"encoding/binary"
	"slices"
	"strings"
)

// elfHeader is how many bytes of a file say what it is (elf(5), e_ident to e_machine).
const elfHeader = 20

// machines are those of e_machine, class and byte order, by the word of GOARCH.
var machines = []struct {
	arch   string
	id     uint16
	class  byte // 1: 32 bits, 2: 64
	order  byte // 1: little endian, 2: big
	others []string
}{
	{"amd64", 62, 2, 1, []string{"x86_64", "x86-64", "x64"}},
	{"arm64", 183, 2, 1, []string{"aarch64", "arm64v8"}},
	{"arm", 40, 1, 1, []string{"armv7l", "armv7", "armv6l", "armhf", "arm32v7"}},
	{"386", 3, 1, 1, []string{"i386", "i486", "i586", "i686", "x86"}},
	{"riscv64", 243, 2, 1, nil},
	{"ppc64le", 21, 2, 1, nil},
	{"s390x", 22, 2, 2, nil},
}

// Architecture gives a machine's name the word of GOARCH: "x86_64" is "amd64". A name
// that is not known stays as it is, in lower case.
func Architecture(name string) string {
	name = strings.ToLower(name)
	for _, m := range machines {
		if m.arch == name || slices.Contains(m.others, name) {
			return m.arch
		}
	}
	return name
}

// checkELF wants the beginning of a file to be that of a shared object, and returns the
// word of GOARCH for what it runs on. Only fixed fields are read.
func checkELF(head []byte) (string, error) {
	if len(head) < elfHeader || string(head[:4]) != "\x7fELF" {
		return "", invalid("its library is no ELF file")
	}
	class, order := head[4], head[5]
	var bytes binary.ByteOrder = binary.LittleEndian
	if order == 2 {
		bytes = binary.BigEndian
	}
	const sharedObject = 3 // ET_DYN
	if kind := bytes.Uint16(head[16:]); kind != sharedObject {
		return "", invalid("its library is no shared object (ELF type %d)", kind)
	}
	id := bytes.Uint16(head[18:])
	for _, m := range machines {
		if m.id == id && m.class == class && m.order == order {
			return m.arch, nil
		}
	}
	return "", invalid("its library is for a machine that is not known (ELF machine %d)", id)
}
