package grammar

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// hostile are sources that once took long, to compile or for one token.
var hostile = map[string]func() (*Grammar, error){
	"two ways":  func() (*Grammar, error) { return GBNF("root::=a a\na::=b\"0\" b\nb::=|\"0\"a\"2\"") },
	"four ways": func() (*Grammar, error) { return GBNF("root::=a a\na::=b b\nb::=|\"x\"a a") },
	"a hundred": func() (*Grammar, error) { return GBNF("root::=\"a\"{100}*[ic-z]*(\"a\"root)*") },
	"late end":  func() (*Grammar, error) { return Regex(`(a|b)*a(a|b){20}`) },
	"counted":   func() (*Grammar, error) { return Regex(`((a{1,30}){1,30}b?)*`) },
	"no a late": func() (*Grammar, error) {
		return JSONSchema([]byte(`{"pattern":"(a|b)*a(a|b){14}","minLength":100}`), JSONOptions{})
	},
	"many of": func() (*Grammar, error) {
		return JSONSchema([]byte(`{"anyOf":[`+strings.Repeat(`{"pattern":"a.*b.*c","maxLength":40},`, 60)+`{}]}`), JSONOptions{})
	},
	"anyOf each": func() (*Grammar, error) {
		var all []string
		for i := range 8 {
			all = append(all, fmt.Sprintf(`{"anyOf":[{"minLength":%d},{"minimum":%d}]}`, i, i))
		}
		return JSONSchema([]byte(`{"allOf":[`+strings.Join(all, ",")+`]}`), JSONOptions{})
	},
}

// Hostile sources cost little until they are refused, or for each token; -v shows how much.
func TestHostileSourcesAreSoonDone(t *testing.T) {
	for name, compile := range hostile {
		start := time.Now()
		g, err := compile()
		compiled := time.Since(start)
		worst, tokens := time.Duration(0), 0
		if err == nil {
			for seed := range uint64(4) {
				r := rand.New(rand.NewPCG(seed, 1))
				m := g.Start(smallVocabulary())
				for range 300 {
					start := time.Now()
					mask, err := m.Mask(Unlimited)
					var token int32 = -1
					if err == nil {
						token = pick(mask, r)
					}
					if token < 0 || m.Accept(token) != nil {
						worst = max(worst, time.Since(start))
						break
					}
					worst, tokens = max(worst, time.Since(start)), tokens+1
				}
			}
		}
		t.Logf("%s: compiled in %v (%v), at most %v for one of %d tokens", name, compiled.Round(time.Millisecond), err, worst.Round(time.Millisecond), tokens)
		if compiled > 5*time.Second || worst > 2*time.Second { // a busy machine is many times slower than a quiet one
			t.Errorf("%s took %v and %v", name, compiled, worst)
		}
	}
}
