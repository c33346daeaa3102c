package kernel

// Fetch asks for bytes that will be read soon, so that they are in the cache by then. It changes nothing; where there is no
// such instruction it does nothing.
//
// It is for little at a time, far enough before it is read: a core waits once it has asked for some dozen lines.
func Fetch(b []byte) {
	if len(b) > 0 {
		fetch(&b[0], len(b))
	}
}
