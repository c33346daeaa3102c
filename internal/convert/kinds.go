package convert

import (
	"fmt"
	"regexp"

	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Kinds say which kind of weights each matrix gets.
type Kinds struct {
	Type      quant.Spec
	Embedding *quant.Spec // nil: what suits Type (quant.Spec.Embedding)
	// Head is that of the output head; nil: that of the embedding. A tied head of another kind than the embedding's
	// is stored apart.
	Head  *quant.Spec
	Rules []Rule // the last one that matches a matrix' name counts
}

// Rule gives a kind to all matrices whose GGUF name the pattern matches anywhere.
type Rule struct {
	Pattern *regexp.Regexp
	Spec    quant.Spec
}

// Mixed says whether there is more than one kind.
func (k *Kinds) Mixed() bool { return k.Embedding != nil || k.Head != nil || len(k.Rules) > 0 }

// specs gives each matrix of the file its kind, as Spec.For has it, by name. tied says that the source's head is its embedding.
func (k *Kinds) specs(in []*Input, tied bool) (map[string]quant.Spec, error) {
	var list []Parameter
	for _, i := range in {
		if i.Cols != 0 {
			list = append(list, i.Parameter)
		}
	}
	specs, used, reached := map[string]quant.Spec{}, make([]bool, len(k.Rules)), make([]bool, len(k.Rules))
	for _, p := range list {
		spec, named := k.named(p.Name, tied)
		at := -1
		for i, r := range k.Rules {
			if r.Pattern.MatchString(p.Name) {
				at, reached[i] = i, true
			}
		}
		if at >= 0 {
			if named && spec != k.Rules[at].Spec {
				return nil, fmt.Errorf("tensor %s: want one kind, found %s asked for by its own option and %s by %q", p.Name, spec.Name(), k.Rules[at].Spec.Name(), k.Rules[at].Pattern)
			}
			spec, used[at] = k.Rules[at].Spec, true
		}
		specs[p.Name] = spec
	}
	for i, r := range k.Rules {
		switch {
		case !reached[i]:
			return nil, fmt.Errorf("tensor pattern %q: want some matrix, found none of that name; systemgemma show --tensors lists them", r.Pattern)
		case !used[i]:
			return nil, fmt.Errorf("tensor pattern %q: has no effect, later patterns match all that it does", r.Pattern)
		}
	}
	return specs, suit(specs, list)
}

// untie says whether a tied head is of another kind than the embedding.
func (k *Kinds) untie() bool {
	if k.Head == nil {
		return false
	}
	e := k.Type.Embedding()
	if k.Embedding != nil {
		e = *k.Embedding
	}
	for _, r := range k.Rules {
		if r.Pattern.MatchString(embedding) {
			e = r.Spec
		}
	}
	return *k.Head != e
}

// named is the kind that options other than rules give a matrix, and whether they name it.
func (k *Kinds) named(name string, tied bool) (spec quant.Spec, named bool) {
	switch {
	case name == embedding && k.Embedding != nil:
		return *k.Embedding, true
	case name == head && k.Head != nil:
		return *k.Head, true
	case name == head && tied && k.Embedding != nil:
		return *k.Embedding, false
	case name == embedding, name == head:
		return k.Type.Embedding(), false
	}
	return k.Type, false
}

// suit fits all specs to the matrices' columns, or names the first that can't be, with the group sizes that suit all.
func suit(specs map[string]quant.Spec, list []Parameter) error {
	for _, p := range list {
		spec, ok := specs[p.Name]
		if !ok {
			continue
		}
		fit, err := spec.For(p.Cols)
		if err != nil {
			var columns []int
			for _, other := range list {
				if s := specs[other.Name]; s == spec {
					columns = append(columns, other.Cols)
				}
			}
			if sizes := quant.GroupSizesFor(spec.Layout, columns...); spec.Layout.Grouped() && len(sizes) > 0 {
				err = fmt.Errorf("%w (all %d matrices of this kind allow %v)", err, len(columns), sizes)
			}
			return fmt.Errorf("tensor %s: %w", p.Name, err)
		}
		specs[p.Name] = fit
	}
	return nil
}
