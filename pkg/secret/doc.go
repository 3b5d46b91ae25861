// Package secret keeps what modules must know and nobody else: it seals bytes into
// text that only this device opens, and puts secrets into files of a file system in
// memory for as long as the module that may read them runs.
//
// A secret is in no environment, label, answer or log, and on no disk but sealed. The
// file system is a tmpfs under edged's run folder, 0700, whose pages are kept out of swap
// where the kernel can do that (tmpfs(5), noswap, Linux 6.4). It outlives edged, whose
// restart a module does not notice, and no power cut.
package secret
