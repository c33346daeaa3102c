package constrained

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/systemgemma/systemgemma/internal/decode/grammar"
)

// A Source is what an answer is held to: exactly one of its fields but Spaced.
type Source struct {
	JSONSchema json.RawMessage
	JSONObject bool
	Regex      string
	Choices    []string
	GBNF       string
	Spaced     bool // with JSONSchema or JSONObject
}

// check reports anything but exactly one field.
func (s *Source) check() error {
	var given []string
	for _, f := range []struct {
		name  string
		given bool
	}{{"JSONSchema", len(s.JSONSchema) > 0}, {"JSONObject", s.JSONObject}, {"Regex", s.Regex != ""}, {"Choices", s.Choices != nil}, {"GBNF", s.GBNF != ""}} {
		if f.given {
			given = append(given, f.name)
		}
	}
	switch {
	case len(given) == 0:
		return errors.New("want one of JSONSchema, JSONObject, Regex, Choices and GBNF, found none")
	case len(given) > 1:
		return fmt.Errorf("want one of JSONSchema, JSONObject, Regex, Choices and GBNF, found %s", strings.Join(given, " and "))
	case s.Spaced && given[0] != "JSONSchema" && given[0] != "JSONObject":
		return fmt.Errorf("want JSONSchema or JSONObject beside Spaced, found %s", given[0])
	}
	return nil
}

// compile makes the grammar. The error is a *grammar.Error.
func (s *Source) compile() (*grammar.Grammar, error) {
	o := grammar.JSONOptions{Spaced: s.Spaced}
	switch {
	case len(s.JSONSchema) > 0:
		return grammar.JSONSchema(s.JSONSchema, o)
	case s.JSONObject:
		return grammar.JSONObject(o)
	case s.Regex != "":
		return grammar.Regex(s.Regex)
	case s.Choices != nil:
		return grammar.Choice(s.Choices)
	}
	return grammar.GBNF(s.GBNF)
}

type key [sha256.Size]byte

// key tells sources apart.
func (s *Source) key() (k key) {
	h := sha256.New()
	for _, text := range append([]string{string(s.JSONSchema), fmt.Sprint(s.JSONObject, s.Spaced), s.Regex, s.GBNF}, s.Choices...) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		h.Write([]byte(text))
	}
	h.Sum(k[:0])
	return k
}

const (
	// maxGrammars and maxBytes bound the compiled grammars that are kept when no answer uses them.
	maxGrammars = 64
	maxBytes    = 128 << 20
)

// A Cache has the vocabulary of one model, and the grammars compiled last with what answers have found out about them. It is
// safe for concurrent use.
type Cache struct {
	vocabulary func() (*grammar.Vocabulary, error)
	compiling  chan struct{} // has room for one: hostile sources take long, and shall not take all processors

	mu     sync.Mutex
	recent []entry // guarded by mu; the one used last at the end
}

type entry struct {
	key     key
	grammar *grammar.Grammar
}

// NewCache returns an empty cache for a model's vocabulary of size pieces: piece(id) is what a token adds to a text, "" for those
// that must not be in one; the tokens of stop end a text. The vocabulary is built on first need.
func NewCache(size int, piece func(id int32) string, stop map[int32]bool) *Cache {
	return &Cache{
		vocabulary: sync.OnceValues(func() (*grammar.Vocabulary, error) { return grammar.NewVocabulary(size, piece, endTokens(stop)) }),
		compiling:  make(chan struct{}, 1),
	}
}

// Start compiles s, unless it is known, and returns a matcher at the beginning of a text. The error is a *grammar.Error, that of
// ctx, or says that the vocabulary can't spell every text.
func (c *Cache) Start(ctx context.Context, s Source) (*grammar.Matcher, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	k := s.key()
	g := c.find(k)
	if g == nil {
		select {
		case c.compiling <- struct{}{}:
			defer func() { <-c.compiling }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if g = c.find(k); g == nil { // nobody else compiled it meanwhile
			var err error
			if g, err = s.compile(); err != nil {
				return nil, err
			}
			c.add(k, g)
		}
	}
	v, err := c.vocabulary()
	if err != nil {
		return nil, err
	}
	return g.Start(v), nil
}

func (c *Cache) find(k key) *grammar.Grammar {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.recent, func(e entry) bool { return e.key == k })
	if i < 0 {
		return nil
	}
	e := c.recent[i]
	c.recent = append(slices.Delete(c.recent, i, i+1), e)
	return e.grammar
}

// add keeps g, and forgets those not used for longest where all together are too many or too large.
func (c *Cache) add(k key, g *grammar.Grammar) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent = append(c.recent, entry{k, g})
	bytes, keep := int64(0), 0
	for _, e := range slices.Backward(c.recent) {
		if bytes += e.grammar.Bytes(); keep > 0 && (bytes > maxBytes || keep == maxGrammars) {
			break
		}
		keep++
	}
	c.recent = slices.Delete(c.recent, 0, len(c.recent)-keep)
}
