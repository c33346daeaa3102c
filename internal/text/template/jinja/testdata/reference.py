"""Writes reference.jsonl: templates and what Jinja 3.1 in its immutable sandbox makes of them, with Hugging Face's settings.

usage: python reference.py [--count N] [--seed S] > reference.jsonl      (needs jinja2 3.1)
The cases are those below and N random ones: expressions, and nestings of blocks that set and read variables.
"""
import argparse, copy, json, random, sys
import jinja2, jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENV = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception
CONTEXT = {"a": "Ab c", "b": "", "u": "Größe ΣΑΣ ﬁx ǆ", "n": 7, "f": 2.5, "z": 0, "none_": None, "t": True, "xs": [3, 1, 2], "ws": ["b", "A", "c", "a"],
           "d": {"k": "v", "n": 1, "l": [1, 2]}, "ms": [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "yo"}, {"role": "user"}]}

EXPRESSIONS = """
1 + true
true + true
1 - 2.5
7 // 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 % -2
-7.5 // 2
0.0 * -1
2 ** 10
2 ** -1
2 ** 0.5
(-8) ** 2
0 ** 0
2 ** 100
2 ** 100 // 3
-(2 ** 70) % 1000
10 ** 20 / 10 ** 19
1 / 3
1 / 0
1 % 0
1.0 / 0
1.0 // 0
0 ** -1
9223372036854775807 + 1
-9223372036854775808 - 1
123456789012345678901234567890 * 2
1e308 * 10
1e400
1.0 == 1
9007199254740993 == 9007199254740992.0
9007199254740993 > 9007199254740992.0
1 < 1.5
true < 2
'a' < 'B'
'a' < 1
none < 1
[1, 2] < [1, 3]
[1, 2] < [1]
(1, 2) < (1, 2, 0)
[1] < (1,)
[1] == (1,)
(1, 2) == (1, 2)
{'a': 1} == {'a': 1.0}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
range(3) == range(3)
range(3) == [0, 1, 2]
none == none
nope == other
nope == none
nope != 1
1 == 1 == 1
1 < 2 > 1
3 in xs
[1] in [[1], 2]
'k' in d
1 in 'abc'
1 in 5
nope in xs
3 in nope
(1, 'a') in [(1, 'a')]
[1] in d
not nope
nope and 1
nope or 'x'
'' or 0 or none
a and b and n
not a == b
nope + 1
1 + nope
'x' + nope
nope ~ 'x'
nope * 2
-nope
+n
-a
-true
+true
'a' * 3
3 * 'a'
'a' * -1
'a' * 1.5
[1] * 2
2 * (1,)
[1] + [2]
[1] + (2,)
(1,) + (2,)
'a' + 1
1 + 'a'
{} + {}
none + 1
'%s' % nope
'%s-%s' % (1, 'b')
'%d' % 3.9
'%d' % 'x'
'%s' % [1, 2]
'%s' % none
'%r %r' % ('a', "it's")
'%5s|%-5s|%05d|%+d|% d|%x|%X|%o|%#x|%c|%c' % ('a', 'b', 42, 3, 3, 255, 255, 8, 255, 65, 'z')
'%5.2f|%-8.3e|%g|%g|%G|%.0f' % (3.14159, 31415.9, 1e10, 0.0001, 1e-10, 2.5)
'%.3s|%*d|%.*f' % ('abcdef', 5, 42, 2, 3.14159)
'%(k)s %(n)d' % d
'%s' % d
'%%' % ()
'%' % 1
'%q' % 1
'%s %s' % 1
'%s' % (1, 2)
'abc' % 1
'%05.1f|%+.2f|%010d' % (2.55, -1.005, -42)
'{} {}'.format(1, 'a')
'{1} {0}'.format(1, 'a')
'{x} {y!r}'.format(x=1, y='b')
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:05d}|{:+}|{:,}|{:_}|{:x}|{:#x}|{:b}|{:e}|{:.2f}|{:%}'.format(42, 5, 1234567, 1234567, 255, 255, 5, 12345.678, 3.14159, 0.25)
'{:g} {:.3} {}'.format(1e10, 3.14159, 1e16)
'{{}} {}'.format(1)
'{0.real}'.format('a')
'{0[k]} {0[l][1]}'.format(d)
'{} {0}'.format(1)
'{'.format()
'{}'.format()
'{x}'.format()
'{:d}'.format('a')
'{:{}}|'.format('a', 5)
'{} {}'.format(none, [1, 'a'])
'{!s:>4}'.format(true)
xs | string
d | string
ws
d
(1,)
()
(1, 'a', none, true, 2.0)
"it's" | list
['it\\'s', "q\\"", 'b\\\\', '\\n\\t', '\\x00', 'ä', '\\u200b', '😀']
d.items()
d.keys()
d.values()
range(3)
range(1, 10, 3)
range(0)
nope | string
[nope]
xs | reverse
a | reverse
a | upper
u | upper
u | lower
u | title
u | capitalize
u.upper()
u.lower()
u.title()
u.capitalize()
'ŉ ǆ ﬁ ß İ ΑΣ Σ ΑΣ. Α.Σ' | lower
'ŉ ǆ ﬁ ß İ ΐ' | upper
'ﬁx ßa ǆb ʼn ŉ'.title()
"they're bill's".title()
"they're (bill's) a-b [c] {d} <e>" | title
'ΑΣ-ΑΣ ΣΑΣ' | title
'hello WORLD'.capitalize()
a.swap
a.nope
a['nope']
a.nope.x
a['nope'].x
n.x
none.x
none['x']
none_[0]
d.x
d.x.y
d['x']
d[1]
d[[1]]
xs[0]
xs[-1]
xs[3]
xs[-4]
xs['0']
xs['a']
xs[true]
xs[1.0]
xs[none]
a[0]
a[-1]
a[99]
a[1:]
a[:-1]
a[::-1]
a[::2]
a[5:2]
a[-2:]
u[1:4]
xs[1:]
xs[::-1]
xs[5:]
xs[-5:2]
xs[2:0:-1]
xs[::0]
xs['a':]
n[1:]
nope[1:]
none_[1:]
d[1:]
range(10)[2:5]
range(10)[-1]
(1, 2, 3)[1:]
d.keys()[0]
a.__class__
a['__class__']
xs.append(4)
xs.append
xs.pop
xs.sort()
d.update({})
d.pop
d.clear()
d.get('k')
d.get('x')
d.get('x', 5)
d.get([])
d.get()
d.get('a', 'b', 'c')
d.items() | list
d.keys() | list
d.copy()
xs.index(1)
xs.index(9)
xs.count(3)
xs.copy()
(1, 2).index(2)
a.split()
a.split('b')
a.split(' ', 1)
a.split('')
a.split(none)
a.split(none, 0)
'  a  b  '.split()
'  a  b  c'.split(none, 1)
'a,b,,c'.split(',')
'a,b,,c'.rsplit(',', 1)
'  a b  c '.rsplit(none, 1)
'  a b  c '.rsplit()
''.split()
''.split(',')
'a\\nb\\r\\nc\\rd\\x0be\\x0cf\\x1cg\\x85h\\u2028i'.splitlines()
'a\\nb\\n'.splitlines(true)
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'abc'.partition('')
a.find('c')
a.find('x')
a.find('b', 2)
a.rfind('b')
a.index('x')
a.rindex('b')
a.find('', 9)
'aaaa'.count('aa')
'aaaa'.count('')
'aaaa'.count('a', 1, 3)
a.startswith('A')
a.startswith(('x', 'A'))
a.startswith('b', 1)
a.startswith(1)
a.endswith('c')
a.endswith(('x', 1))
a.endswith('b', 0, 2)
a.startswith('', 9)
a.replace('b', 'X')
a.replace('', '-')
'aaa'.replace('a', 'b', 2)
'aaa'.replace('a', 'b', 0)
a.replace('b')
a.replace(1, 2)
a | replace('b', 1)
a | replace('b', 'x', 1)
a.strip('Ac')
a.strip(none)
a.lstrip('A')
'\\x1c a\\xa0\\u200b'.strip()
a.join(['x', 'y'])
a.join([1])
','.join('abc')
','.join(d)
'12'.zfill(5)
'-12'.zfill(5)
'+1'.zfill(1)
'a'.center(4) ~ '|'
'ab'.center(5, '*')
'abc'.center(6, '*')
'a'.ljust(3, '.')
'a'.rjust(3)
'a'.rjust(3, 'xy')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'abc'.isalpha() ~ 'ab1'.isalnum() ~ '12'.isdigit() ~ '²'.isdigit() ~ '²'.isdecimal() ~ '½'.isnumeric() ~ ''.isalpha() ~ 'é'.isascii() ~ ''.isascii()
'Ab'.isupper() ~ 'AB1'.isupper() ~ 'ab'.islower() ~ '1'.islower() ~ 'ª'.islower() ~ 'Ⅷ'.isupper()
' \\t\\x1f\\x85'.isspace() ~ ''.isspace()
xs | length
a | length
nope | length
n | length
d | length
xs | map('string') | length
xs | select | length
xs | first
[] | first
nope | first
n | first
d | first
a | last
xs | last
xs | select | last
xs | select | first
{} | last
xs | join
xs | join('-')
xs | join(1)
nope | join('-')
n | join
ms | join(',', attribute='role')
ms | map(attribute='content') | list
ms | map(attribute='content', default='?') | list
ms | map('upper') | list
ms | map(attribute='x.y') | list
ms | selectattr('content') | list | length
ms | selectattr('role', 'eq', 'user') | list | length
ms | rejectattr('role', 'equalto', 'user') | map(attribute='content') | join
ms | selectattr('content', 'defined') | list | length
ms | selectattr('role', 'in', ['user']) | list | length
ms | selectattr('role', '==', 'user') | first
ms | selectattr() | list
xs | select('gt', 1) | list
xs | select('nosuch') | list
xs | map('nosuch') | list
xs | map | list
xs | map(attribute='a', x=1) | list
xs | reject('odd') | list
[0, 1, '', 'x', none] | select | list
[0, 1, '', 'x', none] | reject | list
xs | map('string') | join(',')
ws | map('replace', 'a', 'q') | list
[[1, 2], [3]] | map('first') | list
[[1, 2], [3]] | map('length') | sum
[[3, 'c'], [1, 'a']] | sort | list
[[3, 'c'], [1, 'a']] | map(attribute=1) | list
[[3, 'c'], [1, 'a']] | sort(attribute='1')
xs | sort
xs | sort(true)
ws | sort
ws | sort(case_sensitive=true)
ws | sort(reverse=true)
[1, 'a'] | sort
[none, 1] | sort
[nope, 1] | sort
ms | sort(attribute='role') | map(attribute='role') | list
ms | sort(attribute='role,content') | list
nope | sort
d | dictsort
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 1, 'A': 2} | dictsort(false, 'value')
{'b': 1, 'A': 2} | dictsort(by='x')
{'b': 1, 'A': 2} | dictsort(reverse=true)
xs | dictsort
ws | unique | list
['b', 'B', 'a'] | unique | list
['b', 'B', 'a'] | unique(true) | list
[1, 1.0, true, '1'] | unique | list
[[1], [1]] | unique | list
xs | min
xs | max
ws | max
[] | max
['a', 1] | min
ms | max(attribute='role')
xs | sum
[0.1, 0.2] | sum
['a'] | sum
[[1], [2]] | sum(start=[])
ms | sum(attribute='x')
[] | sum
xs | batch(2) | list
xs | batch(2, '-') | list
xs | batch(0) | list
xs | slice(2) | list
xs | slice(2, '-') | list
xs | slice(0) | list
ms | groupby('role') | list | length
ms | groupby('role') | map(attribute='grouper') | list
ms | groupby('role') | map('length') | list
ms | groupby('content') | list
ms | groupby('content', default='?') | map('first') | list
['b', 'A', 'B'] | groupby(0) | map('first') | list
d | items | list
nope | items | list
xs | items | list
none | default('x')
nope | default('x')
nope | default
'' | default('x')
'' | default('x', true)
nope.x | default('x')
d.x | default('x')
d.x.y | default('x')
a | trim
'  x ' | trim ~ '|'
'xxaxx' | trim('x')
5 | trim
none | trim
nope | trim ~ '|'
none | upper
5 | upper
true | lower
'3' | int
'x' | int
'3.9' | int
' 12 ' | int
'0x1f' | int(0, 16)
'1f' | int(base=16)
'1_000' | int
'_1' | int
none | int
none | int(5)
nope | int
[] | int(3)
3.99 | int
-3.99 | int
true | int
'1e3' | int
'inf' | int
'' | int
'2.5' | float
'x' | float
'1_0.5' | float
'inf' | float
'nan' | float
' 1 ' | float
none | float(2)
nope | float
3 | float
-5 | abs
-5.5 | abs
'a' | abs
true | abs
2.5 | round
3.5 | round
-2.5 | round
2.675 | round(2)
1234.5 | round(-2)
1250 | round(-2)
1350 | round(-2)
42 | round
42.55 | round(1, 'floor')
42.55 | round(1, 'ceil')
42.5 | round(method='x')
'a' | round
true | round
1e300 | round(2)
a | wordcount
"it's a_b ½ x-y" | wordcount
a | indent
'x\\ny\\n\\nz' | indent
'x\\ny\\n\\nz' | indent(2, true)
'x\\ny\\n\\nz' | indent(2, true, true)
'x\\ny\\n\\nz' | indent('> ', blank=true)
'x\\ny\\n' | indent(1) ~ '|'
n | indent
'hello big world' | truncate(9)
'hello big world' | truncate(9, true)
'hello big world' | truncate(9, false, '!')
'hello big world' | truncate(9, leeway=0)
'hello big world' | truncate(14)
'hello big world' | truncate(2)
'hello' | truncate(3, leeway=0)
n | truncate
'<a href="x">&\\'</a>' | escape
n | escape
a | safe
'%s %s' | format(1, 2)
'%(x)s' | format(x=1)
'%s' | format
'%s' | format(1, x=2)
a | attr('upper') is callable
a | attr('nope')
d | attr('k')
a | list
n | list
nope | list
d | list
xs | list is sequence
xs | nosuchfilter
xs is nosuchtest
d | tojson
xs | tojson
ws | map('upper') | tojson
nope | tojson
[nope] | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
(1, 2) | tojson
range(2) | tojson
1e16 | tojson
[1e400, -1e400] | tojson
d | tojson(indent=2)
d | tojson(indent='--')
d | tojson(indent=0)
[] | tojson(indent=2)
[[], {}] | tojson(indent=2)
d | tojson(separators=('|', '='))
d | tojson(separators=('|',))
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{1: 1, 'a': 2} | tojson(sort_keys=true)
'\\u2028<\\x7f\\x1f😀"\\\\/' | tojson
'\\u2028<\\x7f\\x1f😀"\\\\/' | tojson(true)
a is string
b is string
n is number
t is number
f is number
f is float
t is integer
n is integer
2 ** 70 is integer
xs is iterable
n is iterable
nope is iterable
xs is sequence
a is sequence
d is sequence
nope is sequence
d.items() is sequence
xs | map('string') is sequence
range(2) is sequence
d is mapping
xs is mapping
none is none
nope is none
nope is defined
a is defined
a is not defined
a is not string
not a is string
n is odd
n is even
f is odd
a is odd
nope is odd
n is divisibleby 7
n is divisibleby(7)
n is divisibleby 0
n is sameas 7
none is sameas none
true is sameas true
1 is sameas true
t is true
t is false
n is true
t is boolean
n is boolean
a is eq 'Ab c'
n is gt 3
n is lt 3
n is >= 7
n is ge 7
n is ne 7
n is in [7]
a is in 'Ab cd'
a is lower
'ab' is lower
'AB' is upper
5 is lower
a is callable
range is callable
dict is callable
a.upper is callable
'upper' is filter
'nosuch' is filter
'odd' is test
a is escaped
n is in(xs)
n is eq 7 and true
n is eq 7 if t else 'no'
a is defined is defined
'x' if t
'x' if z
('x' if z) is defined
('x' if z) ~ 'y'
'x' if z else 'y' if t else 'w'
a if nope else b
n if n > 3 and n < 10 else 0
nope()
a()
n()
a.upper(1)
a.upper(x=1)
range()
range('a')
range(1, 2, 3, 4)
range(0, 5, 0)
range(100001)
range(100000) | length
range(-3) | list
range(3, -3, -2) | list
dict()
dict(a=1)
dict([('a', 1)])
dict({'a': 1}, b=2)
dict(1)
dict([1])
dict([(1, 2, 3)])
dict(**d)
dict(**xs)
dict(a=1, **{'a': 2})
range(*[1, 4]) | list
range(*xs) | list
namespace(a=1).a
namespace(a=1)['a']
namespace(a=1).b
namespace({'a': 1}).a
namespace().x is defined
raise_exception('x')
raise_exception(1)
raise_exception()
raise_exception(message='m')
{'a': 1, 'a': 2}
{'a': 1,}
[1, 2,]
(1, 2,)
{1: 'a', 1.0: 'b', true: 'c'}
{[]: 1}
{(1, 2): 'x'}[(1, 2)]
{(1, 2): 'x'}[1, 2]
{none: 1}[none]
1, 2
a, b
1 if t else 2, 3
'a' 'b'
'a' "b" ~ 'c'
1_000 + 0x1F + 0b11 + 0o17
1.5e3
1e-7
1_0.5_0
1.
.5
007
0.1 + 0.2
100.0
1e15
1e16
123456789.123
1.5e300
5e-324
-0.0
3.0 | int | string
1e5 | string
0.00001
0.0001
'\\q'
'\\101'
'\\u12'
'\\
'
xs | sort | first | string | length
a.b.c
xs.0
xs.0.x
d.l.1
ms.0.role
ms[0].role.upper()[1:]
ms | map(attribute='role') | map('upper') | join('/')
a|upper|lower|title
-1 | abs
(-1) | abs
2 + 3 | string
2 * 3 ~ 4 + 1
'a' ~ 1 + 2
not 1 in [1]
not 1 not in [1]
1 not in [1] == true
- 1
--1
-+-1
not not t
1 +
+ + 1
a b
a.
a[
a(
)
{{
'unclosed
a | | b
a is
if
for
a ? b
a $ b
[1
{1}
{1:}
a[1:2:3:4]
f(a=1, 2)
f(*a, *b)
f(**a, **b)
loop
varargs
true.x
1.x
'a'.upper
xs[0, 1]
"""

TEMPLATES = [
    "{% for x in xs %}{{ a }}{% endfor %}{% set a = 1 %}{{ a }}",
    "{{ a }}{% for x in xs %}{{ a }}{% endfor %}{% set a = 1 %}{{ a }}",
    "{% if z %}{% set a = 1 %}{% endif %}{% for x in xs %}{{ a }}{% endfor %}",
    "{% if z %}{% set q = 1 %}{% endif %}{{ q is defined }}{% for x in xs %}{{ q }}{% endfor %}",
    "{% if t %}{% set a = 1 %}{% elif z %}{% set b = 2 %}{% elif t %}{% set n = 3 %}{% else %}{% set f = 4 %}{% endif %}{{ a }}{{ b }}{{ n }}{{ f }}",
    "{% for x in xs %}{% if z %}{% set a = x %}{% endif %}{{ a }}{% endfor %}",
    "{% for x in xs %}{% set a = a ~ x %}{{ a }},{% endfor %}{{ a }}",
    "{% for x in xs %}{{ y }}{% set y = x %}{{ y }}{% endfor %}{{ y is defined }}",
    "{% for a in xs %}{{ a }}{% endfor %}{{ a }}",
    "{% for x in xs %}{% for x in ws %}{{ x }}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in xs %}{{ loop.index }}{% for y in ws %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in xs if loop.index %}{{ x }}{% endfor %}",
    "{% for x in xs if x > 1 %}{{ loop.length }}{{ loop.last }}{% else %}none{% endfor %}",
    "{% for x in xs if x > 9 %}{{ x }}{% else %}none{{ x is defined }}{% endfor %}",
    "{% for x in xs %}{% break %}{% else %}else{% endfor %}",
    "{% for x in xs %}{% continue %}{% else %}else{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}else{% endfor %}",
    "{% for x in [] %}{% else %}else{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, b in [1] %}{{ a }}{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}{{ v }}{{ loop.first }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for c in 'äb' %}{{ c }},{% endfor %}",
    "{% for x in nope %}x{% else %}e{% endfor %}",
    "{% for x in none %}x{% endfor %}",
    "{% for x in n %}x{% endfor %}",
    "{% for x in xs recursive %}{{ x }}{% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{% if x is iterable %}({{ loop(x) }}){{ loop.depth }}{{ loop.depth0 }}{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in xs %}{{ loop(x) }}{% endfor %}",
    "{% for x in xs %}{{ loop.changed(x > 1) }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in xs %}{{ loop.cycle() }}{% endfor %}",
    "{% for x in xs %}{{ loop.nope }}{{ loop['index'] }}{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}",
    "{% for x in xs %}{{ loop.previtem.y }}{% endfor %}",
    "{% for x in xs %}{{ loop }}{% endfor %}",
    "{% for x in xs %}{% set ns = namespace(i=x) %}{% set ns.i = ns.i + 1 %}{{ ns.i }}{% endfor %}",
    "{% set ns = namespace() %}{% for x in xs %}{% set ns.last = x %}{% endfor %}{{ ns.last }}",
    "{% set ns = namespace(a=1) %}{{ ns }}{% set ns.b = 2 %}{{ ns.b }}",
    "{% set d.x = 1 %}",
    "{% set nope.x = 1 %}",
    "{% set a, b = b, a %}[{{ a }}|{{ b }}]",
    "{% set a, b = xs %}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}",
    "{% set x %}a{{ n }}{% endset %}{{ x }}{{ x is string }}",
    "{% set x | upper %}a{{ n }}{% endset %}{{ x }}",
    "{% set x | upper | replace('A', 'q') %}a{% endset %}{{ x }}",
    "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y is defined }}",
    "{% for x in xs %}{% set s %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endset %}{{ s }}{% endfor %}",
    "{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=1, a=2) }}{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(x=2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}",
    "{% macro f(a=1, b) %}{% endmacro %}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}",
    "{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}",
    "{% macro f() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b) f() %}{{ a }}{{ b }}{{ n }}{% endcall %}",
    "{% macro f() %}[{{ caller(1) }}]{% endmacro %}{% call(a, b=7) f() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro f() %}{{ q }}{% endmacro %}{% set q = 5 %}{{ f() }}",
    "{% macro f() %}{{ a }}{% endmacro %}{{ f() }}{% set a = 5 %}{{ f() }}",
    "{% macro f() %}{% set a = 9 %}{{ a }}{% endmacro %}{{ f() }}{{ a }}",
    "{% for x in xs %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}{{ loop is defined }}{% endmacro %}{% for x in xs %}{{ f() }}{% endfor %}",
    "{{ f(1) }}{% macro f(a) %}{{ a }}{% endmacro %}",
    "{% macro f() %}x{% endmacro %}{{ f.name }}{{ f }}{{ f is callable }}{{ f.nope is defined }}",
    "{% macro f(x) %}{% for i in range(x) %}{% break %}{% endfor %}{{ x }}{% endmacro %}{{ f(2) }}",
    "{% for x in xs %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}",
    "{% break %}",
    "{% if t %}{% continue %}{% endif %}",
    "{% call n() %}{% endcall %}",
    "{% call a.upper %}{% endcall %}",
    "{% filter upper %}a{{ a }}{% endfilter %}",
    "{% filter replace('a', n) %}banana{% endfilter %}",
    "{% filter upper | replace('A', '-') %}banana{% endfilter %}",
    "{% filter upper %}{% set q = 1 %}{{ q }}{% endfilter %}{{ q is defined }}",
    "{% filter nosuch %}x{% endfilter %}",
    "{% with %}x{% endwith %}",
    "{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with a = 1 %}{% set a = 2 %}{{ a }}{% endwith %}{{ a }}",
    "{% with x = n %}{% for i in [1] %}{{ x }}{{ i }}{% endfor %}{% endwith %}{{ x is defined }}",
    "{% generation %}{% set q = 1 %}{{ a }}{{ q }}{% endgeneration %}{{ q is defined }}",
    "{% for x in xs %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% for x in xs %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% if a %}1{% elif b %}2{% else %}3{% endif %}",
    "{% if %}x{% endif %}",
    "{% if a, b %}x{% endif %}",
    "{% if a %}{% else %}{% else %}{% endif %}",
    "{% else %}", "{% endif %}", "{% endfor %}", "{% %}", "{%", "{{", "{#", "{# x", "{{ a", "{% if a", "{% raw %}", "{% raw %}x", "a{#", "}}", "%}", "#}", "{", "{ {", "{{}}", "{{ }}",
    "{% for x in %}{% endfor %}", "{% for in xs %}{% endfor %}", "{% for 1 in xs %}{% endfor %}", "{% for true in xs %}{% endfor %}",
    "{% set %}", "{% set 1 = 2 %}", "{% set a.b.c = 1 %}", "{% set a %}", "{% set (a, b) = (1, 2) %}{{ a }}{{ b }}", "{% set none = 1 %}", "{% set a == 1 %}",
    "{% macro %}{% endmacro %}", "{% macro f %}{% endmacro %}", "{% macro f( %}", "{% call %}{% endcall %}", "{% frob %}", "{% do x %}", "{% 1 %}", "{% if a %}{% endfor %}", "{% for x in xs %}{% endif %}",
    "{% if a: %}x{% endif %}", "{% for x in xs: %}{{ x }}{% endfor %}",
    "{% raw %}{{ a }}{% endraw %}", "{%- raw -%} {{ a }} {%- endraw -%} x", "x {%- raw %}\n {{ a }}\n {%- endraw %}\ny", "{% raw %}\n a\n  {% endraw %}\nb", "{%+ raw %} a {%+ endraw +%}\nb", "{% raw %}{% endraww %}{% endraw %}", "{% rawx %}", "{%raw%}a{%endraw%}",
    "a {#- c -#} b", "a\n  {# c #}\n  b", "a\n  {#+ c +#}\n  b", "a\n  {#- c #}\n  b", "{#-#}x", "{#+#}x", "{#--#} x", "{# #} #}", "a{##}b",
    "  {% if t %}\n  x\n  {% endif %}\n", "  {%+ if t +%}\n  x\n  {%+ endif +%}\n", "  {%- if t -%}\n  x\n  {%- endif -%}\n z", "\t{{ a }}\t\n", "\t{{- a -}}\t\n x", "\t{{+ n }}", "{{-1}}", "{{ -1 }}", "{{+1}}",
    "a\n\n", "a\n", "\n", "\n\n", "", "a\r\nb\rc\n", "{% if t %}\r\nx\r\n{% endif %}\r\n", "\u00a0{% if t %}x{% endif %}", "a\n\u3000{% if t %}x{% endif %}", "a\x1c{%- if t -%}\x1f x{% endif %}",
    "x {% if t %} y {% endif %} z", "{% if t %}{% endif %}\n\nx", "{{ a }}\n{{ n }}\n", "{% set q = 1 %}\n{% set r = 2 %}\nx", "{# c #}\n{# d #}\nx", "{% set q = 1 %} \nx",
    "{{ '}}' }}", "{{ \"%}\" }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': 1} }}", "{{ '{{' ~ '{%' }}", "{{ ({}) }}", "{{ {} }}", "{{{}}}", "{{ a }}}", "{ {{ a }} }", "{{ (1, }}", "{{ 'a\nb' }}", "{{\na\n}}", "{%\nif t\n%}x{% endif %}",
    "{{ xs | select | list }}{{ (xs | select) is iterable }}", "{% set g = xs | map('string') %}{{ g | list }}{{ g | list }}", "{% set g = [] | select %}{{ 'yes' if g else 'no' }}", "{% set g = xs | select %}{{ g | first }}{{ g | list }}", "{% set g = xs | select %}{{ 1 in g }}{{ g | list }}",
    "{{ ms | selectattr('role', 'eq', 'user') | map(attribute='content') | first | trim }}",
    "{{ raise_exception('a' ~ n) }}", "{% if n > 3 %}{{ raise_exception('big') }}{% endif %}", "{% macro f() %}{{ raise_exception('in') }}{% endmacro %}{{ f() }}", "{% set x = raise_exception('s') %}",
    "{% set x = 5 %}{% if x is defined and x > 3 %}{{ x }}{% endif %}", "{% set messages = ms[1:] %}{% for m in messages %}{{ m.role }}{{ m.content | default('-') }}{% endfor %}{{ messages | length }}",
    "{% for m in ms %}{{ m.content + '!' }}{% endfor %}", "{% for m in ms %}{{ (m.content or '') + '!' }}{% endfor %}", "{% for m in ms %}{{ m['content'] | trim }}|{% endfor %}", "{{ ms[0].content.strip().upper() }}", "{{ ms[5].role }}", "{{ ms[5] }}", "{{ (ms | last).content is defined }}",
    "{% for group in ms | groupby('role') %}{{ group.grouper }}{{ group[0] }}{{ group.list | length }}{{ group | length }};{% endfor %}", "{% for role, list in ms | groupby('role') %}{{ role }}{{ list | length }}{% endfor %}",
    "{% set a %}{% endset %}[{{ a }}]{{ a is string }}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }}{% if j == 1 %}{% break %}{% endif %}{% endfor %}{% endfor %}", "{% set x = [1] %}{% set y = x %}{{ x == y }}",
]


def call(source, context):
    try:
        return {"text": ENV.from_string(source).render(**copy.deepcopy(context))}
    except jinja2.exceptions.UndefinedError as e:
        kind, e_ = "undefined", e
    except jinja2.exceptions.TemplateSyntaxError as e:
        kind, e_ = "syntax", e
    except jinja2.exceptions.SecurityError as e:
        kind, e_ = "security", e
    except jinja2.exceptions.TemplateRuntimeError as e:
        kind, e_ = "runtime", e
    except jinja2.exceptions.TemplateError as e:
        kind, e_ = "raise", e
    except SyntaxError as e:  # Python's own, of the code that Jinja makes: a break outside of a loop
        kind, e_ = "syntax", e
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ArithmeticError, AssertionError) as e:
        kind, e_ = "runtime", e
    return {"error": {"kind": kind, "message": str(e_)}}


class Random:
    """Random templates over CONTEXT."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def expression(self, depth=0):
        r, e = self.r, lambda: self.expression(depth + 1)
        atom = r.choice(["a", "b", "n", "f", "z", "none_", "t", "xs", "ws", "d", "ms", "nope", "'x'", "'Ab c'", "1", "-2", "2.5", "[]", "{}", "(1, 2)", "xs[0]", "d.k", "d['l']", "ms[0]", "ms[-1].content", "u", "q"])
        if depth > 2 or r.random() < .3:
            return atom
        k = r.randint(0, 9)
        if k == 0:
            return f"{e()} {r.choice(['+', '-', '*', '/', '//', '%', '~'])} {e()}"
        if k == 1:
            return f"{e()} {r.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {e()}"
        if k == 2:
            return f"({e()} {r.choice(['and', 'or'])} {e()})"
        if k == 3:
            return f"({e()} if {e()} else {e()})"
        if k == 4:
            return f"({e()}) is {r.choice(['', 'not '])}{r.choice(['defined', 'none', 'string', 'number', 'mapping', 'iterable', 'sequence', 'odd', 'true', 'lower', 'eq 1', 'in xs', 'float', 'boolean', 'callable'])}"
        if k == 5:
            return f"{r.choice(['xs', 'ws', 'ms', 'a', 'd', 'n', 'nope', 'u'])}[{r.choice(['0', '-1', '1:', ':-1', '::-1', '::2', repr('k'), '5', '1:1', 'n'])}]"
        if k == 6:
            return f"({e()}).{r.choice(['k', 'content', 'upper()', 'strip()', 'split()', 'items()', 'keys()', 'get(a)', 'x', 'index(1)', 'title()', 'role', 'startswith(b)', 'find(a)', 'count(b)'])}"
        if k == 7:
            return f"(not {e()})"
        return f"({e()}) | " + r.choice(["upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "join", "join('-')", "reverse | list", "sort", "unique | list", "min", "max", "sum", "string", "int", "float", "round", "abs", "default('d')", "default(a, true)",
                                         "tojson", "tojson(indent=1)", "items | list", "dictsort", "batch(2) | list", "slice(2) | list", "wordcount", "indent", "truncate(5)", "replace('b', n)", "map('string') | list", "map(attribute='role') | list", "select | list", "reject('none') | list",
                                         "selectattr('role') | list", "groupby('role') | list", "attr('x')", "count"])

    def body(self, depth=0, loops=0):
        r, out = self.r, ""
        name = lambda: r.choice(["a", "n", "q", "w", "x"])
        for _ in range(r.randint(1, 4)):
            k = r.randint(0, 12) if depth < 3 else r.randint(0, 3)
            read = f"[{{{{ {name()} }}}}]"
            inner = lambda loops=loops: self.body(depth + 1, loops)
            if k <= 2:
                out += read
            elif k == 3:
                out += f"{{% set {name()} = {name()} ~ {r.randint(0, 9)} %}}"
            elif k == 4:
                out += f"{{% for {r.choice(['x', 'a', 'q'])} in {r.choice(['xs', 'ws', '[]', 'xs[:1]'])} %}}" + inner(loops + 1) + r.choice(["", "{% else %}" + inner()]) + "{% endfor %}"
            elif k == 5:
                out += f"{{% if {r.choice(['t', 'z', name(), 'q is defined'])} %}}" + inner() + r.choice(["", "{% elif t %}" + inner(), "{% else %}" + inner()]) + "{% endif %}"
            elif k == 6:
                out += f"{{% macro m{depth}({r.choice(['', 'a', 'q=1', 'x, w=n'])}) %}}" + inner(0) + f"{{% endmacro %}}{{{{ m{depth}({r.choice(['', '1', 'n'])}) }}}}"
            elif k == 7:
                out += f"{{% set {name()} %}}" + inner() + "{% endset %}"
            elif k == 8:
                out += f"{{% with {name()} = {name()} %}}" + inner() + "{% endwith %}"
            elif k == 9:
                out += "{% filter upper %}" + inner() + "{% endfilter %}"
            elif k == 10:
                out += "{% generation %}" + inner(0) + "{% endgeneration %}"
            elif k == 11 and loops:
                out += r.choice(["{% break %}", "{% continue %}", "{% if x == 1 %}{% continue %}{% endif %}", "[{{ loop.index }}]"])
            else:
                out += r.choice(["text", " ", "\n"])
        return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--count", type=int, default=400), p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    r = Random(o.seed)
    sources = ["{{ " + e + " }}" for e in EXPRESSIONS.strip("\n").split("\n")] + TEMPLATES
    sources += [f"{{{{ {r.expression()} }}}}" for _ in range(o.count)] + [r.body() for _ in range(o.count)]
    json.dump(CONTEXT, sys.stdout, ensure_ascii=False)
    print()
    for s in sources:
        c = call(s, CONTEXT)
        if len(c.get("text", "")) < 2000 and " object at 0x" not in c.get("text", ""):
            print(json.dumps({"template": s, **c}, ensure_ascii=False))


main()
