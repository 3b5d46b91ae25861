//go:build !cgo

// Command edged-pkcs11 speaks for edged to a PKCS#11 token, and has to be built with
// cgo: the token's library is one of C.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this edged-pkcs11 was built without cgo and can open no token")
	os.Exit(1)
}
