//go:build race

package inventory

// maxMemory with the race detector, which needs many times as much.
const maxMemory = 1 << 30
