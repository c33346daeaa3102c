package hub

import (
	"strings"
)

// Filter keeps the paths that some pattern of allow matches (nil allows all, an empty list nothing) and none of ignore. Patterns
// are those of Python's fnmatch, as the reference client takes them: * and ? cross slashes, [abc], [!abc] and ranges, case
// counts, the whole path must match, "dir/" means all below dir.
func Filter(paths, allow, ignore []string) []string {
	var kept []string
	for _, p := range paths {
		if wanted(p, allow, ignore) {
			kept = append(kept, p)
		}
	}
	return kept
}

func wanted(path string, allow, ignore []string) bool {
	return (allow == nil || matchAny(path, allow)) && !matchAny(path, ignore)
}

func matchAny(path string, patterns []string) bool {
	for _, p := range patterns {
		if strings.HasSuffix(p, "/") {
			p += "*"
		}
		if match([]rune(p), []rune(path)) {
			return true
		}
	}
	return false
}

// match goes back to the last star only: quadratic at worst, whatever the pattern.
func match(p, s []rune) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		if i < len(p) && p[i] == '*' {
			star, mark = i, j
			i++
			continue
		}
		if i < len(p) {
			if n := one(p[i:], s[j]); n > 0 {
				i, j = i+n, j+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		i, j = star+1, mark
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// one returns how much of the pattern matched one character, 0 for none.
func one(p []rune, ch rune) int {
	if p[0] == '?' {
		return 1
	}
	if p[0] == '[' {
		end := 1
		if end < len(p) && p[end] == '!' {
			end++
		}
		if end < len(p) && p[end] == ']' {
			end++
		}
		for end < len(p) && p[end] != ']' {
			end++
		}
		if end < len(p) {
			if class(p[1:end], ch) {
				return end + 1
			}
			return 0
		}
	}
	if p[0] == ch {
		return 1
	}
	return 0
}

// class tells whether a character is in the inside of [...].
func class(set []rune, ch rune) bool {
	not := len(set) > 0 && set[0] == '!'
	if not {
		set = set[1:]
	}
	in := false
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			in = in || set[i] <= ch && ch <= set[i+2]
			i += 2
		} else {
			in = in || set[i] == ch
		}
	}
	return in != not
}
