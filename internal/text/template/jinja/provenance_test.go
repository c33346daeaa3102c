package jinja

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// marks shows segments as text, the parts of the conversation in «».
func marks(segs []Segment) string {
	var b strings.Builder
	for _, s := range segs {
		if s.User {
			b.WriteString("«" + s.Text + "»")
			continue
		}
		b.WriteString(s.Text)
	}
	return b.String()
}

func renderMarks(t testing.TB, source string, vars Object) string {
	t.Helper()
	tpl, err := Parse(source)
	if err != nil {
		t.Fatalf("Parse(%q): %v", source, err)
	}
	segs, err := tpl.Render(vars)
	if err != nil {
		t.Fatalf("Render(%q): %v", source, err)
	}
	return marks(segs)
}

func TestEachCharacterKeepsItsOrigin(t *testing.T) {
	vars := Object{
		{"u", "Hi <x> yo"}, {"bos", Literal("<bos>")}, {"n", 42}, {"list", []any{"a", "b"}},
		{"d", Object{{"role", "user"}, {"n", 1}}}, {"s", "  pad  "},
	}
	for _, c := range []struct{ source, want string }{
		{"<a>{{ u }}<b>", "<a>«Hi <x> yo»<b>"},
		{"{{ bos }}x", "<bos>x"},
		{"{{ '<s>' + u + '</s>' }}", "<s>«Hi <x> yo»</s>"},
		{"{{ '<s>' ~ u ~ n }}", "<s>«Hi <x> yo42»"},
		{"{{ u[0] }}{{ u[-2:] }}{{ ('ab' + u)[1:4] }}", "«Hyo»b«Hi»"},
		{"{{ ('ab' + u)[::-1] }}", "«oy >x< iH»ba"},
		{"[{{ s | trim }}][{{ s.strip() }}][{{ (' ' + s + ' ').strip() }}]", "[«pad»][«pad»][«pad»]"},
		{"{{ u | upper }}{{ ('q' ~ u) | capitalize }}{{ u.title() }}{{ u | title }}", "«HI <X> YO»Q«hi <x> yoHi <X> YoHi <X> Yo»"},
		{"{{ u.replace('<x>', '<eos>') }}", "«Hi <eos> yo»"}, // written by the template, but the user says where
		{"{{ '[R]: text' | replace('[R]', u) }}", "«Hi <x> yo»: text"},
		{"{{ '[R]: text' | replace('[R]', '<eos>') }}", "<eos>: text"},
		{"{{ 'ab'.replace('', '-') }}{{ u[:2].replace('', '-') }}", "-a-b-«-H-i-»"},
		{"{{ list | join('<sep>') }}{{ '<sep>'.join(list) }}", "«a»<sep>«ba»<sep>«b»"},
		{"{{ u.split(' ') | join('|') }}", "«Hi»|«<x>»|«yo»"},
		{"{{ u.split()[1] }}{{ u.rsplit(' ', 1)[0] }}{{ u.partition('<')[1] }}{{ 'a<b'.partition('<')[1] }}", "«<x>Hi <x><»<"},
		{"{{ ('a\n' + u).splitlines() | join('/') }}", "a/«Hi <x> yo»"},
		{"{{ '%s|%5s|%d' % (u, 'ab', n) }}", "«Hi <x> yo»|«   »ab|«42»"},
		{"{{ '{}|{:>4}'.format(u, 'ab') }}{{ '<%s>' | format('eos') }}", "«Hi <x> yo»|«  »ab<eos>"},
		{"{{ u * 2 }}{{ 'ab' * 2 }}", "«Hi <x> yoHi <x> yo»abab"},
		{"{{ n }}{{ 1 }}{{ true }}{{ none }}", "«421TrueNone»"}, // in doubt: numbers are spelled out, not copied
		{"{{ list }}{{ ['<eos>'] }}{{ d }}", "«['a', 'b']['<eos>']{'role': 'user', 'n': 1}»"},
		{"{{ '<eos>' | tojson }}{{ u | tojson }}", "«\"<eos>\"\"Hi <x> yo\"»"},
		{"{% for c in 'a' + u[:2] %}{{ c }}{% endfor %}", "a«Hi»"},
		{"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "«role»=«user»;«n»=«1»;"},
		{"{% set x %}<a>{{ u }}{% endset %}{{ x[1:5] }}", "a>«Hi»"},
		{"{% filter upper %}a{{ u }}{% endfilter %}", "A«HI <X> YO»"},
		{"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(u) }}{{ m('t') }}", "<«Hi <x> yo»><t>"},
		{"{% generation %}<a>{{ u }}{% endgeneration %}", "<a>«Hi <x> yo»"},
		{"{{ {'user': '<u>'}[d.role] }}{{ d.role }}", "<u>«user»"},
		{"{{ {'user': '<u>'}.get(d.role, d.role) }}{{ {}.get('x', d.role) }}", "<u>«user»"},
		{"{{ ('x\n' ~ u) | indent(2, true) }}", "  x\n  «Hi <x> yo»"},
		{"{{ (u ~ 'abc') | truncate(8, leeway=0) }}", "«Hi»..."},
		{"{{ u | escape }}{{ '<' | e }}", "«Hi &lt;x&gt; yo»&lt;"},
		{"{{ [u, 'a'] | sort | join }}{{ [u, 'a'] | first }}{{ u | first }}{{ u | last }}", "a«Hi <x> yoHi <x> yoHo»"},
		{"{{ u | reverse }}{{ 'ab' | reverse }}", "«oy >x< iH»ba"},
		{"{{ list | map('upper') | join('-') }}{{ ['a'] | map('upper') | join }}", "«A»-«B»A"},
		{"{{ '5'.zfill(3) }}{{ u[:1].zfill(3) }}{{ 'a'.center(3, u[0]) }}", "00500«HH»a«H»"},
		{"{{ '<end' ~ '_of_turn>' }}{{ '<end' ~ '_of' + u[:0] + '_turn>' }}", "<end_of_turn><end_of_turn>"},
		{"{{ u if u else 'x' }}{{ '' or 'x' }}{{ nope | default('d') }}", "«Hi <x> yo»xd"},
		{"{{ 'a' if 'a' in u else 'b' }}{{ u is string }}", "b«True»"},
		{"{{ namespace(a=u).a }}{{ dict(a='t').a }}", "«Hi <x> yo»t"},
		{"{{ 'ab'.ljust(4) }}|{{ u[:1].rjust(2, '*') }}", "ab  |*«H»"},
	} {
		if got := renderMarks(t, c.source, vars); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

// operations that give a text of the texts u and v; wrong types do not occur in them.
var operations = []string{
	"%s + %s", "%s ~ %s", "%s.replace(%s, 'ab')", "'xay'.replace('a', %s) + %s", "[%s, %s] | join('q')", "%s.join([%s, 'x', 'y'])",
	"%s.split('a') | join('-') ~ %s", "(%s ~ %s).strip('ab')", "(%s ~ %s) | upper", "(%s ~ %s) | title", "(%s ~ %s)[1:-1]", "(%s ~ %s)[::-1]",
	"'%%s:%%s' %% (%s, %s)", "'{}{:>9}'.format(%s, %s)", "(%s ~ %s) | tojson", "[%s, %s] | string", "(%s ~ %s) | trim | indent(1, true)",
	"(%s ~ %s) | truncate(6, leeway=0)", "(%s ~ %s).partition('a') | join", "(%s ~ %s).splitlines() | join('\\n')", "{'k': %s}.k ~ %s",
	"(%s if true else '') ~ %s", "(%s ~ %s) | escape", "(%s ~ %s) | list | sort | join", "[%s, %s] | map('capitalize') | join", "(%s ~ %s) | replace('a', '')",
}

// Whatever a template does with text of the conversation, in which each character is of the alphabet A to Z and α to ω, and with text of its own,
// which has none of these, no character of the conversation ever comes out as the template's.
func TestConversationNeverBecomesTemplateText(t *testing.T) {
	foreign := func(c rune) bool { return c >= 'A' && c <= 'Z' || c >= 'α' && c <= 'ω' || c >= 'Α' && c <= 'Ω' }
	rapid.Check(t, func(t *rapid.T) {
		word := func(name string) string {
			return string(rapid.SliceOfN(rapid.RuneFrom([]rune("ABCDXYZαβω")), 0, 8).Draw(t, name))
		}
		vars := Object{{"u", word("u")}, {"v", word("v")}}
		e := expression(t, 3)
		tpl, err := Parse("<" + "{{ " + e + " }}>")
		if err != nil {
			t.Fatalf("Parse(%q): %v", e, err)
		}
		segs, err := tpl.Render(vars)
		if err != nil {
			t.Skip("an error is no leak: ", err)
		}
		for _, s := range segs {
			// In upper case, the template's own letters become foreign ones; what it had itself in lower case may.
			own := strings.ContainsFunc(s.Text, foreign) && !strings.Contains(e, "upper") && !strings.Contains(e, "title") && !strings.Contains(e, "capitalize")
			if !s.User && own {
				t.Fatalf("%s with %q gives %s", e, vars, marks(segs))
			}
		}
	})
}

func expression(t *rapid.T, depth int) string {
	atoms := []string{"u", "v", "'ab'", "'c\\na'", "u", "v"}
	if depth == 0 || rapid.IntRange(0, 4).Draw(t, "leaf") == 0 {
		return rapid.SampledFrom(atoms).Draw(t, "atom")
	}
	op := rapid.SampledFrom(operations).Draw(t, "op")
	parts := strings.SplitN(op, "%s", 3)
	if len(parts) != 3 || strings.Contains(op, "%%s") {
		return "('%s:%s' % (" + expression(t, depth-1) + ", " + expression(t, depth-1) + "))"
	}
	return "(" + parts[0] + "(" + expression(t, depth-1) + ")" + parts[1] + "(" + expression(t, depth-1) + ")" + parts[2] + ")"
}

// Slicing, concatenating and building keep spans that are sorted, apart, not empty, and mark the same bytes as a mask does.
func TestTextEqualsMask(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &renderer{limits: defaultLimits}
		b := r.newBuilder()
		var s []byte
		var mask []bool
		for range rapid.IntRange(0, 6).Draw(t, "pieces") {
			piece, user := rapid.StringN(0, 4, -1).Draw(t, "piece"), rapid.Bool().Draw(t, "user")
			b.writeString(piece, user)
			s = append(s, piece...)
			mask = append(mask, slices.Repeat([]bool{user}, len(piece))...)
		}
		lo := rapid.IntRange(0, len(s)).Draw(t, "lo")
		hi := rapid.IntRange(lo, len(s)).Draw(t, "hi")
		got := b.text().slice(lo, hi)
		if got.s != string(s[lo:hi]) {
			t.Fatalf("slice(%d, %d) of %q = %q", lo, hi, s, got.s)
		}
		at := 0
		for _, u := range got.user {
			if u.lo < at || u.hi <= u.lo || u.hi > len(got.s) || at > 0 && u.lo == at {
				t.Fatalf("spans of %q: %v: want them sorted, apart and not empty", got.s, got.user)
			}
			at = u.hi
		}
		gotMask := make([]bool, len(got.s))
		for i := range gotMask {
			gotMask[i] = got.touchesUser(i, i+1)
		}
		if diff := cmp.Diff(append([]bool{}, mask[lo:hi]...), gotMask); diff != "" {
			t.Fatalf("slice(%d, %d) of %q: mask (-want +got):\n%s", lo, hi, s, diff)
		}
	})
}
