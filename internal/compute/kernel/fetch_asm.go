//go:build (amd64 || arm64) && !noasm

package kernel

// fetch asks for the lines of the n > 0 bytes from p on.
//
//go:noescape
func fetch(p *byte, n int)
