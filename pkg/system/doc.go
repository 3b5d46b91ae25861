// Package system says what the device is and what is used of it, by host and by
// module, from files of the kernel alone: it asks no runtime, so that it costs the
// same while containerd is busy or away.
package system
