//go:build noasm || !(amd64 || arm64)

package roofline

var multipliers []multiplier

// runnable is never asked: there are none.
func (m *multiplier) runnable() bool { return false }

func read(b []byte) uint64 { return readGo(b) }
