package grammar

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// large is a vocabulary of 256,000 pieces: the tokenizer that SYSTEMGEMMA_GEMMA_TOKENIZER names (tokenizer.json, .gz too), or one
// made of random words in several scripts, as many of each length as Gemma 2 has about.
var large = sync.OnceValue(func() (l struct {
	name  string
	build func() *Vocabulary
	vocab *Vocabulary
	tok   *tokenizer.Tokenizer
}) {
	var pieces []string
	if path := os.Getenv("SYSTEMGEMMA_GEMMA_TOKENIZER"); path != "" {
		l.name = "gemma"
		l.tok = openTokenizer(path)
		for id := range int32(l.tok.Size()) {
			if l.tok.IsControl(id) {
				pieces = append(pieces, "")
			} else {
				pieces = append(pieces, l.tok.Text(id))
			}
		}
	} else {
		l.name = "synthetic"
		pieces = randomPieces(256_000)
	}
	l.build = func() *Vocabulary {
		v, err := NewVocabulary(len(pieces), func(id int32) string { return pieces[id] }, []int32{1})
		if err != nil {
			panic(err)
		}
		return v
	}
	l.vocab = l.build()
	return l
})

func openTokenizer(path string) *tokenizer.Tokenizer {
	data, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			data, err = io.ReadAll(z)
		}
	}
	if err != nil {
		panic(err)
	}
	v, err := tokenizer.ParseJSON(data)
	if err != nil {
		panic(err)
	}
	tok, err := tokenizer.New(v)
	if err != nil {
		panic(err)
	}
	return tok
}

// randomPieces makes words as merging pairs does: most are another word with one or two letters more, so that they share
// beginnings as Gemma 2's do.
func randomPieces(n int) []string {
	r := rand.New(rand.NewPCG(1, 1))
	pieces := []string{"", ""}
	for b := range 256 {
		pieces = append(pieces, string([]byte{byte(b)}))
	}
	scripts := [][2]rune{{'a', 'z'}, {'a', 'z'}, {'a', 'z'}, {'A', 'Z'}, {'а', 'я'}, {0x4E00, 0x9FFF}, {0x900, 0x97F}, {'0', '9'}, {'!', '/'}}
	type word struct {
		text   string
		script [2]rune
		length int // letters
	}
	var words []word
	seen := map[string]bool{}
	for len(pieces) < n {
		w := word{script: scripts[r.IntN(len(scripts))]}
		if r.IntN(2) == 0 {
			w.text = " "
		}
		if len(words) > 0 && r.IntN(20) > 0 {
			w = words[r.IntN(len(words))]
		}
		more := 1 + r.IntN(2)
		if w.length += more; w.length > 14 {
			continue
		}
		for range more {
			w.text += string(w.script[0] + rune(float64(w.script[1]-w.script[0]+1)*r.Float64()*r.Float64())) // the first ones more often
		}
		last := w
		if r.IntN(500) == 0 {
			last.text += []string{`"`, `":`, `",`, `"}`, "\n", " "}[r.IntN(6)]
		}
		if !seen[last.text] {
			seen[last.text] = true
			pieces, words = append(pieces, last.text), append(words, w)
		}
	}
	return pieces
}

const personSchema = `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
	"email":{"type":"string","format":"email"},"role":{"enum":["admin","editor","viewer"]},"tags":{"type":"array","items":{"type":"string","maxLength":40}},
	"address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string","pattern":"^[A-Z][a-z ]*$"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":["street","city"]}},
	"required":["name","age","role","tags","address"]}`

type answer struct {
	name, text string
	compile    func() (*Grammar, error)
}

// answers are typical texts, and what constrains them.
var answers = []answer{
	{"schema", `{"name":"Ada Lovelace","age":36,"email":"ada@example.org","role":"admin","tags":["first programmer","poetical science"],"address":{"street":"12 St James's Square","city":"London"}}`,
		func() (*Grammar, error) { return JSONSchema([]byte(personSchema), JSONOptions{}) }},
	{"object", `{"name":"Ada Lovelace","works":[{"title":"Notes on the Analytical Engine","year":1843,"pages":[1,2,3.5,null,true]},{"title":"Sketch","more":{"a":{"b":["c"]}}}]}`,
		func() (*Grammar, error) { return JSONObject(JSONOptions{}) }},
	{"spaced", "{\n  \"name\": \"Ada Lovelace\",\n  \"works\": [\n    {\n      \"title\": \"Notes\",\n      \"year\": 1843\n    }\n  ]\n}",
		func() (*Grammar, error) { return JSONObject(JSONOptions{Spaced: true}) }},
	{"gbnf", "{\"name\": \"Ada Lovelace\", \"works\": [{\"title\": \"Notes on the Analytical Engine\", \"year\": 1843}]}",
		func() (*Grammar, error) { return GBNF(gbnfJSON) }},
	{"regex", "The answer is 42, because of the engine.", func() (*Grammar, error) { return Regex(`The answer is [0-9]+, because .{5,200}\.`) }},
	{"choice", "perhaps", func() (*Grammar, error) { return Choice([]string{"yes", "no", "perhaps", "I do not know"}) }},
}

func (a answer) tokens() (tokens []int32) {
	if tok := large().tok; tok != nil {
		return tok.AppendText(nil, a.text)
	}
	for rest := a.text; len(rest) > 0; {
		id, size := large().vocab.longestPiece(rest)
		tokens, rest = append(tokens, id), rest[size:]
	}
	return tokens
}

// Each answer is what its grammar allows, with a vocabulary of full size; with -v the cost of its masks is shown, when nothing is
// cached and when the same text comes again.
func TestLargeVocabulary(t *testing.T) {
	l := large()
	for _, a := range answers {
		start := time.Now()
		g, err := a.compile()
		if err != nil {
			t.Fatal(err)
		}
		compiled := time.Since(start)
		tokens := a.tokens()
		for _, pass := range []string{"first", "again"} {
			m := g.Start(l.vocab)
			var total, worst time.Duration
			forced := 0
			for i, id := range tokens {
				start := time.Now()
				mask, err := m.Mask(len(tokens) - i + 20)
				d := time.Since(start)
				total, worst = total+d, max(worst, d)
				if err != nil || !mask.Has(id) {
					t.Fatalf("%s: token %q is not allowed after %q: %v", a.name, l.vocab.pieces[id], a.text, err)
				}
				if f := m.Forced(nil, nil); len(f) > 0 {
					forced++
				}
				if err := m.Accept(id); err != nil {
					t.Fatal(err)
				}
			}
			if !m.Accepting() {
				t.Errorf("%s: the answer is not complete", a.name)
			}
			t.Logf("%s %s: compiled in %v; %s: %d tokens, mask %v on average, %v at most; forced at %d", l.name, a.name, compiled.Round(time.Microsecond), pass,
				len(tokens), (total / time.Duration(len(tokens))).Round(100*time.Nanosecond), worst.Round(time.Microsecond), forced)
		}
	}
}

func BenchmarkNewVocabulary(b *testing.B) {
	l := large()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	keep := l.build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		keep = l.build()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
	b.ReportMetric(float64(len(keep.nodes)), "nodes")
}

// The first mask of a grammar at a place: in a string, with and without a string seen before, and where a value begins.
func BenchmarkMask(b *testing.B) {
	v := large().vocab
	g, err := JSONSchema([]byte(personSchema), JSONOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, before, text string }{
		{"string", "", `{"name":"`},
		{"string-after-string", `{"name":"`, `{"name":"A","age":1,"role":"admin","tags":[],"address":{"street":"`},
		{"number", "", `{"name":"A","age":`},
		{"format", "", `{"name":"A","age":1,"email":"a`},
		{"limited", "", `{"name":"A","age":1,"role":"admin","tags":["abc`},
		{"pattern", "", `{"name":"A","age":1,"role":"admin","tags":[],"address":{"street":"","city":"A`},
		{"key", "", `{"name":"A","age":1,`},
	} {
		b.Run("at="+c.name+"/cached=no", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				g.last = nil
				a := g.automatonFor(v)
				if c.before != "" {
					a.mask(a.run(g.start, c.before))
				}
				state := a.run(g.start, c.text)
				b.StartTimer()
				a.mask(state)
			}
		})
	}
	m := g.Start(v)
	b.Run("at=string/cached=yes", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.Mask(1000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
