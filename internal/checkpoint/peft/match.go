package peft

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// matcher is target_modules or exclude_modules: a regular expression of the whole module name, names that it may end in,
// or all linear modules.
type matcher struct {
	re    *regexp.Regexp
	names []string
	all   bool
	blind bool // a regular expression that can't be read here: the tensors alone say what is changed
}

func (c *config) matcher(f field) (m matcher, err error) {
	var text string
	switch {
	case string(f.value) == "null":
	case json.Unmarshal(f.value, &text) != nil:
		if err := json.Unmarshal(f.value, &m.names); err != nil {
			return m, fmt.Errorf("want a list of names or a regular expression, found %.40s", f.value)
		}
	case text == "all-linear" && f.key == "target_modules":
		m.all = true
	default:
		if m.re, err = regexp.Compile(`^(?:` + text + `)$`); err != nil {
			m.blind = true
			c.notes = append(c.notes, fmt.Sprintf("%s: not compared with the tensors: %v", f.key, err))
		}
	}
	return m, nil
}

func (m *matcher) match(module string) bool {
	switch {
	case m.re != nil:
		return m.re.MatchString(module)
	case m.all:
		return module != headModule && module != embedModule
	}
	return slices.ContainsFunc(m.names, func(n string) bool { return module == n || strings.HasSuffix(module, "."+n) })
}

// compileWithin makes the expressions that find a module's layer for layers_to_transform.
func (c *config) compileWithin(names []string) error {
	if len(names) == 0 {
		names = []string{`[^.]*`}
	}
	for _, n := range names {
		re, err := regexp.Compile(`^.*\.` + n + `\.(\d+)\.`)
		if err != nil {
			return fmt.Errorf("%.60q: this regular expression can't be read: %w", n, err)
		}
		if re.NumSubexp() != 1 {
			return fmt.Errorf("%.60q: want no group in this regular expression", n)
		}
		c.within = append(c.within, re)
	}
	return nil
}

// targets says whether the config wants LoRA on a module, and whether it can be known.
func (c *config) targets(module string) (wanted, known bool) {
	if c.target.blind || c.exclude.blind {
		return false, false
	}
	if !c.target.match(module) || c.exclude.match(module) {
		return false, true
	}
	if c.layers == nil || c.target.re != nil { // layers_to_transform goes with a list
		return true, true
	}
	for _, re := range c.within {
		if m := re.FindStringSubmatch(module); m != nil {
			return slices.ContainsFunc(c.layers, func(l int) bool { return fmt.Sprint(l) == m[1] }), true
		}
	}
	return false, true
}

// saves says whether modules_to_save names a module, or one that it is part of, by its name's end.
func (c *config) saves(module string) bool {
	for {
		if slices.ContainsFunc(c.save, func(s string) bool { return strings.HasSuffix(module, s) }) {
			return true
		}
		i := strings.LastIndexByte(module, '.')
		if i < 0 {
			return false
		}
		module = module[:i]
	}
}
