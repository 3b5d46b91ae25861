package main

import "syscall"

// buffer is memory outside Go's heap whose pages go back to the system while a module is silent. There is a logger for
// every module, and most modules are silent most of the time.
type buffer []byte

func newBuffer(size int) buffer {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	if err != nil {
		return make([]byte, size)
	}
	return b
}

// release gives the pages back; what was in them is gone. Memory that is not a mapping of its own stays as it is.
func (b buffer) release() { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }
