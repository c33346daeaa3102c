package grammar

import (
	"fmt"
	"slices"
	"sync"
)

// Limits on what is compiled. A source beyond one is refused with an error that names it.
const (
	maxSource   = 64 << 10 // bytes of a schema, regular expression or GBNF grammar
	maxChoices  = 1 << 20  // bytes of all choices
	maxDepth    = 64       // nesting of a schema, of groups in GBNF
	maxTerms    = 1 << 20  // terms and their parts of a compiled grammar
	maxExplored = 20_000   // states of one intersection (pattern and length of one string)
	maxRules    = 10_000   // rules of GBNF; different subschemas, and combinations of them
	maxBranches = 256      // ways to choose among anyOf and oneOf within one schema
	maxFolds    = 50_000   // schemas that are combined with others, each time they are
	maxRepeat   = 1 << 20  // a repetition count, a length, a number of items

	maxWork     = 5_000_000 // steps (arena.spend) to compile; some 0.15 s
	maxStepWork = 250_000   // steps for one token; some 10 ms

	maxGrown = 1 << 20 // terms and their parts that texts may add to one automaton; about 40 MB
	maxIdle  = 1 << 18 // an automaton grown beyond it is not used for new texts
)

// A Grammar is a set of texts, compiled. It is safe for concurrent use.
type Grammar struct {
	arena *arena // sealed; never changes again
	start id
	names []string // of rules, for errors

	mu   sync.Mutex
	last *automaton // guarded by mu; the one for the vocabulary used last
}

// An Error says why a source can't be compiled.
type Error struct {
	Source string // "JSON schema", "regular expression", "choices" or "GBNF grammar"
	At     string // where: a JSON pointer such as "#/properties/age", "line 3", or ""
	Reason string // what was expected and found, and what to do
}

func (e *Error) Error() string {
	if e.At == "" {
		return e.Source + ": " + e.Reason
	}
	return e.Source + ": " + e.At + ": " + e.Reason
}

// Choice compiles a list of texts, of which exactly one is to be said. None may be empty.
func Choice(texts []string) (*Grammar, error) {
	const source = "choices"
	size := 0
	for i, s := range texts {
		if s == "" {
			return nil, &Error{source, fmt.Sprintf("choice %d", i), "want a text, found none"}
		}
		if !validText(s) {
			return nil, &Error{source, fmt.Sprintf("choice %d", i), "is not valid UTF-8"}
		}
		size += len(s)
	}
	if len(texts) == 0 {
		return nil, &Error{source, "", "want at least one, found none"}
	}
	if size > maxChoices {
		return nil, &Error{source, "", fmt.Sprintf("have %d bytes, at most %d are allowed; give fewer or shorter ones", size, maxChoices)}
	}
	a := newArena(maxTerms)
	return seal(source, a, a.words(slices.Clone(texts)), nil)
}

// seal makes a Grammar of terms: it finds what every rule needs at least, and refuses rules that never get to a byte.
func seal(source string, a *arena, start id, names []string) (*Grammar, error) {
	if a.over != "" {
		return nil, &Error{source, "", "is too complex: " + a.over + " go beyond the limit; simplify or split it"}
	}
	a.sealed = true
	for n := range a.terms {
		if a.terms[n].kind == kRef {
			a.terms[n].min = infinite
		}
	}
	for again := true; again; {
		again = false
		for n := 2; n < len(a.terms); n++ {
			if a.terms[n].refs && a.measure(id(n)) {
				again = true
			}
		}
	}
	if rule := a.leftRecursion(); rule >= 0 {
		name := fmt.Sprint(rule)
		if rule < len(names) {
			name = names[rule]
		}
		return nil, &Error{source, name, "refers to itself before any text (left recursion); write it as a repetition"}
	}
	if a.terms[start].min == infinite {
		return nil, &Error{source, "", "matches no text at all; check for contradictions and for recursion that can't end"}
	}
	return &Grammar{arena: a, start: start, names: names}, nil
}

// leftRecursion returns a rule that may begin with itself, or -1.
func (a *arena) leftRecursion() int {
	const white, grey, black = 0, 1, 2
	colour := make([]uint8, len(a.rules))
	var visit func(rule int) int
	visit = func(rule int) int {
		colour[rule] = grey
		for _, next := range a.beginsWith(a.rules[rule]) {
			if colour[next] == grey {
				return int(next)
			}
			if colour[next] == white {
				if found := visit(int(next)); found >= 0 {
					return found
				}
			}
		}
		colour[rule] = black
		return -1
	}
	for rule := range a.rules {
		if colour[rule] == white {
			if found := visit(rule); found >= 0 {
				return found
			}
		}
	}
	return -1
}

// beginsWith returns the rules with which a term may begin.
func (a *arena) beginsWith(root id) (rules []int32) {
	seen := map[id]bool{}
	var visit func(n id)
	visit = func(n id) {
		t := &a.terms[n]
		if !t.refs || seen[n] {
			return
		}
		seen[n] = true
		switch t.kind {
		case kRef:
			rules = append(rules, t.a)
		case kCat:
			visit(id(t.a))
			if a.nullable(id(t.a)) {
				visit(id(t.b))
			}
		case kAlt:
			for _, k := range a.kidsOf(t) {
				visit(k)
			}
		case kRep, kLex:
			visit(id(t.a))
		}
	}
	visit(root)
	return rules
}

// matches reports whether the Grammar has a text.
func (g *Grammar) matches(text string) bool {
	a := g.arena.clone(g.arena.size() + maxGrown)
	a.work = maxWork
	return a.matches(g.start, text)
}
