package grammar

import (
	"fmt"
	"math/rand/v2"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Texts of each format are what other packages take for it.
func TestFormatsAreValid(t *testing.T) {
	layout := func(layout string) func(string) error {
		return func(s string) error { _, err := time.Parse(layout, s); return err }
	}
	address := func(is4 bool) func(string) error {
		return func(s string) error {
			a, err := netip.ParseAddr(s)
			if err == nil && a.Is4() != is4 {
				err = fmt.Errorf("of the other kind")
			}
			return err
		}
	}
	match := func(expr string) func(string) error {
		re := regexp.MustCompile(expr)
		return func(s string) error {
			if !re.MatchString(s) {
				return fmt.Errorf("want %s", expr)
			}
			return nil
		}
	}
	hostname := func(s string) error {
		for label := range strings.SplitSeq(s, ".") {
			if label == "" || len(label) > 63 || strings.Trim(label, "-") != label {
				return fmt.Errorf("label %q", label)
			}
		}
		return nil
	}
	for name, check := range map[string]func(string) error{
		"date":      layout(time.DateOnly),
		"time":      layout("15:04:05Z07:00"),
		"date-time": layout(time.RFC3339),
		"duration":  match(`^P(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$`),
		"uuid":      match(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`),
		"email":     func(s string) error { _, err := mail.ParseAddress(s); return err },
		"hostname":  hostname,
		"ipv4":      address(true),
		"ipv6":      address(false),
		"uri": func(s string) error {
			u, err := url.Parse(s)
			if err == nil && !u.IsAbs() {
				err = fmt.Errorf("is not absolute")
			}
			return err
		},
	} {
		if formats[name] == "" {
			t.Errorf("%s is not supported", name)
			continue
		}
		g, err := JSONSchema(fmt.Appendf(nil, `{"format":%q}`, name), JSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 6))
			m := g.Start(smallVocabulary())
			need, err := m.Need()
			if err != nil {
				t.Fatal(err)
			}
			text, done := walk(t, name, m, r, need+r.IntN(40))
			if err := check(strings.Trim(text, `"`)); err != nil || !done {
				t.Fatalf("%s: %s: %v, done %v", name, text, err, done)
			}
		}
	}
	if len(formats) != 10 {
		t.Errorf("there are %d formats, want a check for each of them", len(formats))
	}
}
