package keystore

import "encoding/binary"

// scheme begins every message under the root key, so that another way of deriving
// can come beside this one.
const scheme = "edged/v1"

// encode writes labels so that no two lists come out the same: each after its
// length in four bytes.
func encode(labels []string) []byte {
	message := []byte(scheme)
	for _, label := range labels {
		message = binary.BigEndian.AppendUint32(message, uint32(len(label)))
		message = append(message, label...)
	}
	return message
}
