package modelcard

import (
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// What a file says about itself stays in its cell.
func TestCellsKeepMarkup(t *testing.T) {
	var d data
	d.describe(&systemgemma.Info{Metadata: map[string]string{
		"general.name": "x\n# y", "systemgemma.provenance.base": "gemma-2-2b-it", "systemgemma.provenance.evil": "a|b\n<script>[x](y)`",
	}})
	var b strings.Builder
	d.Files = []file{{Base: "m.gguf"}}
	if err := card.Execute(&b, &d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"base_model: \"google/gemma-2-2b-it\"\n", "license: gemma\n", "| evil | a\\|b; &lt;script&gt;\\[x\\](y)\\` |", "# x # y, converted", "Not measured."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q, found %s", want, b.String())
		}
	}
}
