package access

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Keys are the API keys that open a server, by the SHA-256 of each. None: everybody may ask.
type Keys struct{ list []key }

type key struct {
	name string
	hash [sha256.Size]byte
}

const (
	maxKeys = 1000
	minKey  = 8 // bytes: shorter ones are guessed
)

// Add adds a key in plain text.
func (k *Keys) Add(name, secret string) error {
	if len(secret) < minKey {
		return fmt.Errorf("API key %s: want at least %d characters, found %d", name, minKey, len(secret))
	}
	return k.add(key{name, sha256.Sum256([]byte(secret))})
}

func (k *Keys) add(x key) error {
	for _, other := range k.list {
		if other.name == x.name {
			return fmt.Errorf("API key %s: want names that differ, found it twice", x.name)
		}
	}
	if len(k.list) == maxKeys {
		return fmt.Errorf("API keys: want at most %d", maxKeys)
	}
	k.list = append(k.list, x)
	return nil
}

// Read reads lines NAME SHA256, the hash in hexadecimal digits; empty lines and those that begin with # say nothing. A line's
// hash is what `printf %s KEY | sha256sum` prints.
func (k *Keys) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		x := key{name: fields[0]}
		var hash []byte
		var err error
		if len(fields) == 2 {
			hash, err = hex.DecodeString(fields[1])
		}
		if err != nil || copy(x.hash[:], hash) != sha256.Size || len(hash) != sha256.Size {
			return fmt.Errorf("line %d: want a name and the SHA-256 of a key in 64 hexadecimal digits", n)
		}
		if err := k.add(x); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// Several says whether there is more than one key.
func (k *Keys) Several() bool { return k != nil && len(k.list) > 1 }

// None says whether there are no keys.
func (k *Keys) None() bool { return k == nil || len(k.list) == 0 }

// Check gives the name of the key that a request has: Authorization: Bearer KEY, or x-api-key: KEY. Without keys any will do. All keys
// are compared, in a time that tells nothing.
func (k *Keys) Check(r *http.Request) (name string, err error) {
	if k.None() {
		return "", nil
	}
	secret := r.Header.Get("X-Api-Key")
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		secret = strings.TrimSpace(rest)
	}
	hash := sha256.Sum256([]byte(secret))
	found := -1
	for i := range k.list {
		if subtle.ConstantTimeCompare(hash[:], k.list[i].hash[:]) == 1 {
			found = i
		}
	}
	switch {
	case found >= 0:
		return k.list[found].name, nil
	case secret == "":
		return "", problem.New(http.StatusUnauthorized, problem.CodeKey, "this server wants an API key, in the header Authorization: Bearer KEY, or x-api-key: KEY")
	}
	return "", problem.New(http.StatusUnauthorized, problem.CodeKey, "the API key is not one of this server's")
}
