package jinja

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// text is a string in which each byte knows whether it comes from the conversation. It is not changed once made.
type text struct {
	s    string
	user []span // ascending, not empty, apart from each other; the rest was written in the template
}

// span is the bytes lo <= i < hi.
type span struct{ lo, hi int }

func literal(s string) text { return text{s: s} }

func userText(s string) text {
	if s == "" {
		return text{}
	}
	return text{s, []span{{0, len(s)}}}
}

// from returns the spans that end behind byte i.
func (t text) from(i int) []span {
	return t.user[sort.Search(len(t.user), func(k int) bool { return t.user[k].hi > i }):]
}

// slice is the bytes lo <= i < hi. It shares memory with t.
func (t text) slice(lo, hi int) text {
	out := text{s: t.s[lo:hi]}
	if lo == hi {
		return out
	}
	for _, u := range t.from(lo) {
		if u.lo >= hi {
			break
		}
		out.user = append(out.user, span{max(u.lo, lo) - lo, min(u.hi, hi) - lo})
	}
	return out
}

// touchesUser reports whether any of the bytes lo <= i < hi comes from the conversation; for an empty range, whether any byte at all does.
func (t text) touchesUser(lo, hi int) bool {
	if lo == hi {
		return len(t.user) > 0
	}
	rest := t.from(lo)
	return len(rest) > 0 && rest[0].lo < hi
}

// chars counts characters: code points, and each byte that is no UTF-8.
func (t text) chars() int { return utf8.RuneCountInString(t.s) }

// offset returns the byte offset of character n, or the length of the text for all n beyond it.
func (t text) offset(n int) int {
	if n <= 0 {
		return 0
	}
	for i := range t.s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(t.s)
}

// builder makes a text out of pieces and pays for its memory.
type builder struct {
	r    *renderer
	buf  []byte
	user []span
}

func (r *renderer) newBuilder() *builder { return &builder{r: r} }

// spanCost is the memory of a span in bytes.
const spanCost = 16

func (b *builder) write(t text) {
	if !b.r.alloc(len(t.s)) {
		return
	}
	at := len(b.buf)
	b.buf = append(b.buf, t.s...)
	for _, u := range t.user {
		b.mark(at+u.lo, at+u.hi)
	}
}

func (b *builder) writeString(s string, user bool) {
	if !b.r.alloc(len(s)) {
		return
	}
	at := len(b.buf)
	b.buf = append(b.buf, s...)
	if user {
		b.mark(at, len(b.buf))
	}
}

// mark declares bytes to be of the conversation; lo must not be before an earlier hi.
func (b *builder) mark(lo, hi int) {
	switch n := len(b.user); {
	case lo == hi:
	case n > 0 && b.user[n-1].hi == lo:
		b.user[n-1].hi = hi
	case b.r.alloc(spanCost):
		b.user = append(b.user, span{lo, hi})
	}
}

func (b *builder) text() text { return text{string(b.buf), b.user} }

func (r *renderer) concat(parts ...text) text {
	b := r.newBuilder()
	for _, p := range parts {
		b.write(p)
	}
	return b.text()
}

// repeat is Python's t * n.
func (r *renderer) repeat(t text, n int) text {
	if n <= 0 || t.s == "" {
		return text{}
	}
	if !r.allocN(n, len(t.s)) { // before the loop: n may be huge
		return text{}
	}
	b := r.newBuilder()
	for range n {
		if !r.spend(1) {
			break
		}
		b.write(t)
	}
	return b.text()
}

// replace is Python's t.replace(old, new, n); a negative n replaces all. Text put in the place of conversation counts as conversation,
// whoever wrote it: the user decided where it stands.
func (r *renderer) replace(t, old, new text, n int) text {
	b := r.newBuilder()
	put := func(lo, hi int) {
		if t.touchesUser(lo, hi) {
			b.writeString(new.s, true)
		} else {
			b.write(new)
		}
	}
	at := 0
	for ; n != 0 && r.spend(1); n-- {
		i := at // an empty old stands before every character and at the end
		if old.s != "" {
			k := strings.Index(t.s[at:], old.s)
			if k < 0 || !r.scan(k) {
				break
			}
			i = at + k
			b.write(t.slice(at, i))
			put(i, i+len(old.s))
			at = i + len(old.s)
			continue
		}
		put(i, i)
		if at == len(t.s) {
			return b.text()
		}
		_, size := utf8.DecodeRuneInString(t.s[at:])
		b.write(t.slice(at, at+size))
		at += size
	}
	b.write(t.slice(at, len(t.s)))
	return b.text()
}

// mapChars replaces each character by what f gives for it; the result keeps the character's origin.
func (r *renderer) mapChars(t text, f func(i int, c rune) string) text {
	b := r.newBuilder()
	for i, c := range t.s {
		if !r.spend(1) {
			break
		}
		size := utf8.RuneLen(c)
		if c == utf8.RuneError {
			_, size = utf8.DecodeRuneInString(t.s[i:])
		}
		user := t.touchesUser(i, i+size)
		if c == utf8.RuneError && size == 1 {
			b.writeString(t.s[i:i+1], user) // a byte that is no UTF-8 stays what it is
			continue
		}
		b.writeString(f(i, c), user)
	}
	return b.text()
}
