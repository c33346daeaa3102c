package obedience

import (
	"fmt"
	"regexp"
	"strings"
)

// The patterns are Python's, of which Go's regexp lacks lookaround and has \b, \d and \w for ASCII only. What the prompts use
// of these is written anew; for the question whether there is a match at all the new forms are equal, since what they take
// from the text beside the number or words is never needed for anything else.
const (
	digit    = `\p{Nd}`
	notDigit = `\P{Nd}`
	word     = `[\pL\pN_]`
	notWord  = `[^\pL\pN_]`
)

var (
	// (?<!\d)42(?!\d): the number not inside a longer one.
	wholeNumber = regexp.MustCompile(`^\(\?<!\\d\)(\d+)\(\?!\\d\)$`)
	// \b42\b or \b(cat|dog)\b: whole words. What stands between must begin and end with word characters.
	wholeWord = regexp.MustCompile(`^\\b(?:(\d+)|\(([^()\\]*)\))\\b$`)
	// Anything of these left over has another meaning to Python, or none here.
	foreign = regexp.MustCompile(`\\[a-zA-Z0-9]|\(\?|[ıİ]`)
	edge    = regexp.MustCompile(`^` + word + `(?:.*` + word + `)?$`)
)

// A pattern is a Python pattern with the flag I, and M if multiline.
type pattern struct{ re *regexp.Regexp }

func compile(python string, multiline bool) (pattern, error) {
	flags := "(?i)"
	if multiline {
		flags = "(?im)"
	}
	translated := python
	if m := wholeNumber.FindStringSubmatch(python); m != nil {
		translated = `(?:\A|` + notDigit + `)` + m[1] + `(?:` + notDigit + `|\z)`
	} else if m := wholeWord.FindStringSubmatch(python); m != nil {
		words := m[1] + m[2]
		for w := range strings.SplitSeq(words, "|") {
			if !edge.MatchString(w) {
				return pattern{}, fmt.Errorf("pattern %q: want words between \\b, found %q", python, w)
			}
		}
		translated = `(?:\A|` + notWord + `)(?:` + words + `)(?:` + notWord + `|\z)`
	} else {
		if !strings.Contains(python, "[") {
			translated = strings.ReplaceAll(translated, `\w`, word)
		}
		if f := foreign.FindString(strings.NewReplacer(`\\`, "", word, "").Replace(translated)); f != "" {
			return pattern{}, fmt.Errorf("pattern %q: %q is not among the forms that can be followed exactly (see pattern.go)", python, f)
		}
		if !multiline { // Python's $ also stands before a last newline
			translated = strings.ReplaceAll(translated, "$", `(?:\n?\z)`)
		}
	}
	re, err := regexp.Compile(flags + translated)
	if err != nil {
		return pattern{}, fmt.Errorf("pattern %q: %w", python, err)
	}
	return pattern{re}, nil
}

// search says whether the pattern matches anywhere in t. Two letters that Python takes for an i when it ignores case, and Go
// does not, are made one.
func (p pattern) search(t string) bool {
	return p.re.MatchString(strings.NewReplacer("ı", "i", "İ", "i").Replace(t))
}
