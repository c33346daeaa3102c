package jinja

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Templates made to hurt end in an error of kind Limit (or Runtime, where the reference has a bound of its own), in bounded memory. The budgets are
// a tenth of the usual ones, so that slow machines get through; that time is bounded follows from the steps.
func TestHostileTemplatesEndInAnError(t *testing.T) {
	tenth := limits{steps: defaultLimits.steps / 10, bytes: defaultLimits.bytes / 10, depth: defaultLimits.depth}
	deep := func(open, middle, shut string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(shut, n)
	}
	for name, source := range map[string]string{
		"loops":            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
		"doubling":         "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"doubling lists":   "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
		"shared lists":     "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
		"shared equal":     "{% set a = namespace(s=[1]) %}{% set b = namespace(s=[1]) %}{% for i in range(100) %}{% set a.s = [a.s, a.s] %}{% set b.s = [b.s, b.s] %}{% endfor %}{{ a.s == b.s }}",
		"shared json":      "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
		"deep value":       "{% set ns = namespace(s=[1]) %}{% for i in range(50000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
		"deep equal":       "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(50000) %}{% set ns.s = [ns.s] %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
		"deep key":         "{% set ns = namespace(s=(1,)) %}{% for i in range(50000) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ {ns.s: 1} }}",
		"deep index":       "{% set ns = namespace(s=(1,)) %}{% for i in range(50000) %}{% set ns.s = (ns.s,) %}{% endfor %}{{ {}[ns.s] }}",
		"recursion":        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
		"mutual recursion": "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{% call f() %}{% endcall %}{{ caller }}{% endmacro %}{{ f() }}",
		"recursive loop":   "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
		"two calls":        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
		"repeat":           "{{ 'x' * 1000000000000 }}",
		"repeat list":      "{{ [1] * 1000000000000 }}",
		"repeat nothing":   "{{ ('' * 10 ** 300) ~ ([] * 10 ** 300) ~ ('x' * 10 ** 300) }}",
		"range":            "{{ range(10 ** 30) }}",
		"ranges":           "{% for i in range(100000) %}{% set x = range(100000) %}{% endfor %}",
		"power":            "{{ 10 ** (10 ** 10) }}",
		"power of two":     "{{ 2 ** 100000 }}",
		"squaring":         "{% set ns = namespace(n=3) %}{% for i in range(100) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
		"shift":            "{% set ns = namespace(n=1) %}{% for i in range(9999) %}{% set ns.n = ns.n + ns.n %}{% endfor %}",
		"width":            "{{ '%1000000000d' % 1 }}",
		"width argument":   "{{ '%*d' % (10 ** 12, 1) }}",
		"precision":        "{{ '%.1000000000f' % 1.5 }}",
		"digits":           "{{ '%.1000000000d' % 1 }}",
		"format width":     "{{ '{:1000000000}'.format('a') }}",
		"center":           "{{ 'a'.center(10 ** 12) }}",
		"zfill":            "{{ 'a'.zfill(10 ** 12) }}",
		"indent":           "{{ 'a\nb' | indent(10 ** 12) }}",
		"json indent":      "{{ [1] | tojson(indent=10 ** 12) }}",
		"batch":            "{{ [1] | batch(10 ** 12, 'x') | list }}",
		"slice":            "{{ [1] | slice(10 ** 12) | list }}",
		"replace":          "{% set s = 'x' * 1000000 %}{{ s.replace('', s) }}",
		"join":             "{% set s = 'x' * 1000000 %}{{ s.join(s | list) }}",
		"count":            "{% set s = 'x' * 1000000 %}{% for i in range(100000) %}{{ s.count('y') }}{% endfor %}",
		"sort":             "{% for i in range(1000) %}{% set s = range(100000) | sort(reverse=true) %}{% endfor %}",
		"output":           "{% set s = 'x' * 1000000 %}{% for i in range(1000) %}{{ s }}{% endfor %}",
		"variables":        "{% for i in range(100000) %}{% for j in range(1000) %}{% set a = i %}{% endfor %}{% endfor %}",
		"map of map":       "{{ [1] | map('map', 'map', 'map', 'map') | list }}",
		"long source":      strings.Repeat("x", maxSource+1),
		"nested brackets":  "{{ " + deep("(", "1", ")", 10000) + " }}",
		"nested lists":     "{{ " + deep("[", "1", "]", 10000) + " }}",
		"nested dicts":     "{{ " + deep("{1:", "1", "}", 10000) + " }}",
		"nested targets":   "{% set " + deep("(", "a", ")", 10000) + " = 1 %}",
		"nested not":       "{{ " + strings.Repeat("not ", 10000) + "1 }}",
		"nested minus":     "{{ " + strings.Repeat("-", 10000) + "1 }}",
		"nested else":      "{{ " + strings.Repeat("1 if 1 else ", 10000) + "1 }}",
		"nested ifs":       deep("{% if 1 %}", "x", "{% endif %}", 10000),
		"long sum":         "{{ 1" + strings.Repeat("+1", 10000) + " }}",
		"long attribute":   "{{ a" + strings.Repeat(".a", 10000) + " }}",
		"long filters":     "{{ a" + strings.Repeat("|e", 10000) + " }}",
		"long filter":      "{% filter e" + strings.Repeat("|e", 10000) + " %}{% endfilter %}",
		"large number":     "{{ " + strings.Repeat("9", 100000) + " }}",
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			tpl, err := Parse(source)
			if err == nil {
				_, err = tpl.render(nil, tenth)
			}
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("%.60s: no error, want a limit", source)
			}
			if fault.Kind != Limit && fault.Kind != Runtime {
				t.Errorf("%.60s: %v, want a limit", source, err)
			}
			// Go's counter holds what was thrown away too, such as the scopes of finished loops; parsing may take 64 bytes per byte of source.
			if used, limit := allocated()-before, uint64(128<<20+64*len(source)); used > limit {
				t.Errorf("%.60s: allocated %d MiB, want at most %d", source, used>>20, limit>>20)
			}
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestStepLimitOfRender(t *testing.T) {
	tpl, err := Parse("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	var fault *Error
	if _, err := tpl.Render(nil); !errors.As(err, &fault) || fault.Kind != Limit {
		t.Errorf("Render: error %v, want one of kind limit", err)
	}
}

// A conversation far longer than any context stays far within the limits.
func TestLongConversationsStayWithinLimits(t *testing.T) {
	tpl, err := Parse("{% for m in messages %}{{ '<start_of_turn>' + m.role + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	var messages []any
	for i := range 5000 {
		messages = append(messages, Object{{"role", "user"}, {"content", fmt.Sprint(i, strings.Repeat(" word", 200))}})
	}
	if _, err := tpl.Render(Object{{"messages", messages}}); err != nil {
		t.Fatal(err)
	}
}

func TestRenderRefusesUnknownTypes(t *testing.T) {
	tpl, err := Parse("{{ x }}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpl.Render(Object{{"x", []any{struct{}{}}}}); err == nil || !strings.Contains(err.Error(), "found struct {}") {
		t.Errorf("Render with a struct: error %v, want one that names its type", err)
	}
	cycle := []any{nil}
	cycle[0] = cycle
	if _, err := tpl.Render(Object{{"x", cycle}}); err == nil {
		t.Error("Render with a list that holds itself: no error, want a limit")
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{ nope.x }}":                      "template line 2: undefined error: 'nope' is undefined",
		"a\n\n{% if x %}":                      "template line 3: syntax error: Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'.",
		"{% frob %}":                           "template line 1: syntax error: Encountered unknown tag 'frob'.",
		"{{ x | frob }}":                       "template line 1: syntax error: No filter named 'frob'.",
		"{{ raise_exception('no ' ~ 'way') }}": "no way",
		"{{ 1 + 'a' }}":                        "template line 1: runtime error: TypeError: unsupported operand type(s) for +: 'int' and 'str'",
		"{{ [].append(1) }}":                   "template line 1: security error: access to attribute 'append' of 'list' object is unsafe.",
		"{{ 'x' * 10 ** 9 }}":                  "template line 1: limit error: want at most 67108864 bytes; make the template simpler or the conversation shorter",
	} {
		tpl, err := Parse(source)
		if err == nil {
			_, err = tpl.Render(nil)
		}
		if err == nil || err.Error() != want {
			t.Errorf("%q: error %v\nwant %s", source, err, want)
		}
	}
}
