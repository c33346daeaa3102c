package cli

import (
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// What would not fit beside the model that is open is refused; weights that stay in their file need no room.
func TestRoomForAnotherModel(t *testing.T) {
	for _, c := range []struct {
		f    systemgemma.RunForecast
		fits bool
	}{
		{systemgemma.RunForecast{WeightBytes: 3 << 30, KVBytes: 1 << 30, Available: 4 << 30}, true},
		{systemgemma.RunForecast{WeightBytes: 3 << 30, KVBytes: 1<<30 + 1, Available: 4 << 30}, false},
		{systemgemma.RunForecast{WeightBytes: 9 << 30, MappedBytes: 8 << 30, KVBytes: 1 << 30, Available: 4 << 30}, true},
		{systemgemma.RunForecast{WeightBytes: 9 << 30}, true}, // nobody knows
	} {
		err := roomFor("m.gguf", &c.f)
		if (err == nil) != c.fits {
			t.Errorf("%+v: %v, want it to fit: %v", c.f, err, c.fits)
		}
		if err != nil && (!strings.Contains(err.Error(), "m.gguf takes up to 4.") || !strings.Contains(err.Error(), "/save FILE")) {
			t.Errorf("error = %v, want it to name the model and what to do", err)
		}
	}
}
