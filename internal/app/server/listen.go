package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/systemgemma/systemgemma/internal/app/server/access"
)

// DefaultListen is Ollama's address, where its clients look.
const DefaultListen = "127.0.0.1:11434"

// Listen listens at HOST:PORT, or at unix:PATH. An address that others can reach is refused without keys, unless insecure says that
// it is meant: whoever reaches it could use, and fill, this machine.
func Listen(address string, keys *access.Keys, insecure bool) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen: want HOST:PORT as in %s, or unix:PATH, found %q", DefaultListen, address)
	}
	if !access.IsLoopback(host) && keys.None() && !insecure {
		return nil, fmt.Errorf("listen: others can reach %s: want API keys (--api-key, --api-keys) beside it, or --insecure if everybody who reaches it may use it", address)
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen: %s is taken, perhaps by Ollama or another systemgemma serve: stop that, or choose another port by --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// listenUnix listens at a socket that only this user may use, in the place of one that nobody answers at.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		c, err := net.Dial("unix", path)
		if err == nil {
			_ = c.Close() // it was a question only
			return nil, fmt.Errorf("listen: a server answers at %s already", path)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("listen: %w", err)
			}
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
