package kernel

import (
	"bytes"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

func TestFetchChangesNothing(t *testing.T) {
	Fetch(nil)
	b := bytes.Repeat([]byte{7}, 4096)
	at, end := guard.CopyFront(t, b), guard.Copy(t, b)
	for _, n := range []int{1, 63, 64, 65, 4096} {
		Fetch(at[:n])
		Fetch(end[len(end)-n:])
	}
	if !bytes.Equal(at, b) || !bytes.Equal(end, b) {
		t.Error("Fetch wrote to its bytes")
	}
}
