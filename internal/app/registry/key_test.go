package registry

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/pem"
	"testing"
)

// keyFile is a private key as ssh-keygen writes it.
func keyFile(key ed25519.PrivateKey) []byte {
	str := func(b []byte, s string) []byte { return sshString(b, s) }
	public := str(str(nil, "ssh-ed25519"), string(key.Public().(ed25519.PublicKey)))
	private := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 7), 7)
	private = str(str(str(str(private, "ssh-ed25519"), string(key.Public().(ed25519.PublicKey))), string(key)), "comment")
	for i := byte(1); len(private)%8 != 0; i++ {
		private = append(private, i)
	}
	b := str(str(str([]byte("openssh-key-v1\x00"), "none"), "none"), "")
	b = binary.BigEndian.AppendUint32(b, 1)
	b = str(str(b, string(public)), string(private))
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: b})
}

func TestParseKey(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	got, err := ParseKey(keyFile(key))
	if err != nil || !got.Equal(key) {
		t.Errorf("%v", err)
	}
	other := append(ed25519.PrivateKey{}, key...)
	other[63] ^= 1 // the public half is another key's
	for _, text := range []string{"", "x", string(keyFile(other)), "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%q passes for a key", text)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(keyFile(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := ParseKey(text); err == nil && len(key) != ed25519.PrivateKeySize {
			t.Error(len(key))
		}
	})
}
