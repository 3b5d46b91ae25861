//go:build !race

package inventory

// maxMemory is what the process may have of memory for data, in bytes.
const maxMemory = 256 << 20
