package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// RealmError is a registry that sends to another host for its token. Nothing is asked there: it would see who we are.
type RealmError struct{ Realm, Registry string }

func (e *RealmError) Error() string {
	return fmt.Sprintf("%s sends to %q for a token; want an address of its own, so nothing is sent there", e.Registry, e.Realm)
}

var challengePart = regexp.MustCompile(`([a-zA-Z_]+)="([^"]*)"`)

// maxToken bounds a token, in bytes.
const maxToken = 64 << 10

// login gets the token that a refusal asks for: a GET of the realm, signed with our key.
func (c *Client) login(ctx context.Context, refused *wire.Error) error {
	c.auth.Lock()
	defer c.auth.Unlock()
	values := map[string]string{}
	for _, m := range challengePart.FindAllStringSubmatch(refused.Challenge, -1) {
		values[strings.ToLower(m[1])] = m[2]
	}
	realm, err := url.Parse(values["realm"])
	if refused.Challenge == "" {
		return &Error{c.Name, c.URL(), refused}
	}
	if err != nil || !wire.SameOrigin(realm, c.wire.Endpoint) || realm.User != nil {
		return &RealmError{values["realm"], c.URL()}
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	q := realm.Query()
	q.Set("service", values["service"])
	for _, s := range strings.Fields(values["scope"]) {
		q.Add("scope", s)
	}
	q.Set("ts", strconv.FormatInt(time.Now().Unix(), 10))
	q.Set("nonce", base64.RawURLEncoding.EncodeToString(nonce[:]))
	realm.RawQuery = q.Encode()
	header := http.Header{}
	if c.o.Key != nil {
		key, err := c.o.Key()
		if err != nil {
			return fmt.Errorf("%s wants a signed request: %w", c.URL(), err)
		}
		header.Set("Authorization", sign(key, http.MethodGet, realm.String()))
	}
	var answer struct {
		Token string `json:"token"`
	}
	if _, err := c.wire.JSON(ctx, wire.Request{URL: realm, Header: header, NoToken: true, Stay: true, Subject: c.subject()}, &answer); err != nil {
		return c.explain(err)
	}
	if answer.Token == "" || len(answer.Token) > maxToken || strings.ContainsFunc(answer.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return c.strange(realm, "no usable token")
	}
	c.wire.SetToken(answer.Token, c.URL())
	return nil
}

// sign is the Authorization of a request: the public key, and the signature of method, address and an empty body's hash.
func sign(key ed25519.PrivateKey, method, address string) string {
	empty := sha256.Sum256(nil)
	text := method + "," + address + "," + base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(empty[:])))
	public := sshString(nil, "ssh-ed25519")
	public = sshString(public, string(key.Public().(ed25519.PublicKey)))
	return base64.StdEncoding.EncodeToString(public) + ":" + base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func sshString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// errKey is a key file that is none as Ollama makes it.
var errKey = errors.New("want an unencrypted OpenSSH private key of type ed25519, as Ollama makes it")

// ParseKey reads a private key in OpenSSH's form.
func ParseKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "OPENSSH PRIVATE KEY" {
		return nil, errKey
	}
	b, ok := strings.CutPrefix(string(block.Bytes), "openssh-key-v1\x00")
	if !ok {
		return nil, errKey
	}
	next := func() (s string) {
		if len(b) < 4 {
			ok = false
			return ""
		}
		n := binary.BigEndian.Uint32([]byte(b[:4]))
		if uint64(n) > uint64(len(b)-4) {
			ok = false
			return ""
		}
		s, b = b[4:4+n], b[4+n:]
		return s
	}
	cipher, kdf, _ := next(), next(), next()
	if !ok || cipher != "none" || kdf != "none" || len(b) < 4 || binary.BigEndian.Uint32([]byte(b[:4])) != 1 {
		return nil, errKey
	}
	b = b[4:]
	_ = next() // the public key
	b = next() // the private part
	if !ok || len(b) < 8 || b[:4] != b[4:8] {
		return nil, errKey
	}
	b = b[8:]
	kind, public, private := next(), next(), next()
	if !ok || kind != "ssh-ed25519" || len(private) != ed25519.PrivateKeySize || private[ed25519.SeedSize:] != public {
		return nil, errKey
	}
	key := ed25519.NewKeyFromSeed([]byte(private[:ed25519.SeedSize]))
	if string(key) != private {
		return nil, errKey
	}
	return key, nil
}
