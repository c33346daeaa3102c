package man

import "testing"

// No text becomes a request or an escape.
func TestText(t *testing.T) {
	for text, want := range map[string]string{
		".so /etc/passwd": "\\&.so /etc/passwd\n",
		"'x":              "\\(aqx\n",
		`a\fBb`:           "a\\efBb\n",
		"a\n.b":           "a\n\\&.b\n",
		"--x":             "\\-\\-x\n",
	} {
		var p page
		p.text(text)
		if p.String() != want {
			t.Errorf("%q is %q, want %q", text, p.String(), want)
		}
	}
	if got := quote(`a "b" \c`); got != `"a \(dqb\(dq \ec"` {
		t.Errorf("quote gives %s", got)
	}
}
