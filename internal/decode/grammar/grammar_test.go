package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Texts that a grammar has, and texts that it has not.
type texts struct {
	source   string
	yes, not []string
}

func checkTexts(t *testing.T, c texts, g *Grammar, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", c.source, err)
		return
	}
	for _, s := range c.yes {
		if !g.matches(s) {
			t.Errorf("%s: does not match %q", c.source, s)
		}
	}
	for _, s := range c.not {
		if g.matches(s) {
			t.Errorf("%s: matches %q", c.source, s)
		}
	}
}

func TestChoice(t *testing.T) {
	g, err := Choice([]string{"yes", "no", "yes, please", "né"})
	checkTexts(t, texts{"choice", []string{"yes", "no", "yes, please", "né"}, []string{"", "y", "yes,", "non", "noyes"}}, g, err)
	for _, bad := range [][]string{nil, {""}, {"a", "\xff"}, {strings.Repeat("a", maxChoices+1)}} {
		if _, err := Choice(bad); err == nil {
			t.Errorf("Choice(%.20q): want an error", bad)
		}
	}
}

func TestJSONSchemaTexts(t *testing.T) {
	for _, c := range []texts{
		{`{"type":"string"}`, []string{`""`, `"aé€😀"`, `"\n\u00e9\ud83d\ude00\/"`}, []string{``, `"`, `"a`, "\"\n\"", `"\ud83d"`, `"\x"`, `null`}},
		{`{"type":"string","maxLength":2}`, []string{`""`, `"ab"`, `"\u00e9\n"`, `"😀\ud83d\ude00"`}, []string{`"abc"`}},
		{`{"type":"string","minLength":2,"maxLength":1000000}`, []string{`"ab"`}, []string{`"a"`}},
		{`{"pattern":"^a+$"}`, []string{`"a"`, `"aaa"`}, []string{`""`, `"b"`, `"ab"`}},
		{`{"pattern":"a.c"}`, []string{`"xxabcyy"`, `"a\"c"`, `"aéc"`, `"\na\\c"`}, []string{`"a\nc"`, `"ac"`, `"a\u0022c"`}},
		{`{"pattern":"^[^a]$"}`, []string{`"b"`, `"\""`, `"\n"`, `"€"`}, []string{`"a"`, `"bb"`}},
		{`{"pattern":"^\\u00e9|b$"}`, []string{`"éx"`, `"xb"`}, []string{`"xé"`, `"bx"`}},
		{`{"pattern":"^[a-z]*$","minLength":2,"maxLength":3}`, []string{`"ab"`, `"abc"`}, []string{`"a"`, `"abcd"`, `"A1"`}},
		{`{"pattern":"^[a-zé]+$","minLength":3,"maxLength":100000}`, []string{`"abé"`}, []string{`"ab"`, `"ab1"`}},
		{`{"pattern":"^(ab|é)$","minLength":1,"maxLength":2}`, []string{`"ab"`, `"é"`}, []string{`""`, `"éé"`}},
		{`{"pattern":"^\\n{0,5}$","minLength":2,"maxLength":3}`, []string{`"\n\n"`, `"\n\n\n"`}, []string{`"\n"`, `"\n\n\n\n"`}},
		{`{"pattern":"^.{2,4}$","minLength":3}`, []string{`"abc"`}, []string{`"ab"`, `"abcde"`}},
		{`{"format":"date"}`, []string{`"2024-02-29"`, `"2026-11-30"`}, []string{`"2023-02-29"`, `"2026-11-31"`, `"2026-13-01"`}},
		{`{"type":"integer"}`, []string{`0`, `-1`, `42`, `999999999999999`}, []string{`-0`, `01`, `1.0`, `1000000000000000`, `-`}},
		{`{"type":"integer","minimum":-12,"exclusiveMaximum":105}`, []string{`-12`, `-1`, `0`, `9`, `99`, `104`}, []string{`-13`, `105`, `1000`, `-0`}},
		{`{"type":"integer","minimum":7}`, []string{`7`, `10`, `99999`}, []string{`6`, `-7`, `0`}},
		{`{"type":"integer","maximum":-5}`, []string{`-5`, `-10`}, []string{`-4`, `0`, `5`}},
		{`{"type":"integer","minimum":1.5,"maximum":2.5}`, []string{`2`}, []string{`1`, `3`}},
		{`{"type":"number"}`, []string{`0`, `-0.5`, `1.25e+10`, `3E2`}, []string{`.5`, `1.`, `1e`, `1e999`}},
		{`{"type":"number","minimum":0,"maximum":1}`, []string{`0`, `0.0`, `0.5`, `1`, `1.0`, `1.00`}, []string{`-0.1`, `1.01`, `2`, `1e0`}},
		{`{"type":"number","exclusiveMinimum":-1.25,"maximum":2.5}`, []string{`-1.2`, `-1`, `-0.3`, `0`, `2.5`, `2.49`, `1.999`, `-1.249`}, []string{`-1.25`, `-1.250`, `-1.3`, `2.51`, `3`}},
		{`{"type":"number","minimum":0.25,"maximum":0.5}`, []string{`0.25`, `0.250`, `0.3`, `0.49`, `0.5`}, []string{`0`, `0.2`, `0.51`, `0.249`, `1`}},
		{`{"enum":["a",1,null,{"x":[true]},"a\"b"]}`, []string{`"a"`, `1`, `null`, `{"x":[true]}`, `"a\"b"`}, []string{`2`, `"b"`}},
		{`{"enum":["a",1,2.5,null],"type":["string","integer"]}`, []string{`"a"`, `1`}, []string{`2.5`, `null`}},
		{`{"enum":[1,2,3,4],"minimum":2,"maximum":3}`, []string{`2`, `3`}, []string{`1`, `4`}},
		{`{"const":{"a":1}}`, []string{`{"a":1}`}, []string{`{}`, `1`}},
		{`{"type":"array","items":{"type":"boolean"}}`, []string{`[]`, `[true]`, `[true,false,true]`}, []string{`[`, `[true,]`, `[1]`}},
		{`{"items":{"type":"boolean"},"minItems":1,"maxItems":2}`, []string{`[true]`, `[true,false]`}, []string{`[]`, `[true,true,true]`}},
		{`{"prefixItems":[{"const":1},{"const":2}],"items":{"const":3},"minItems":1,"maxItems":4}`, []string{`[1]`, `[1,2]`, `[1,2,3]`, `[1,2,3,3]`}, []string{`[]`, `[2]`, `[1,3]`, `[1,2,3,3,3]`}},
		{`{"prefixItems":[{"const":1},{"const":2}]}`, []string{`[]`, `[1]`, `[1,2]`}, []string{`[1,2,3]`}},
		{`{"prefixItems":[{"const":1},{"const":2}],"items":false,"minItems":2}`, []string{`[1,2]`}, []string{`[]`, `[1]`, `[1,2,3]`}},
		{`{"properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"required":["b"]}`,
			[]string{`{"b":2}`, `{"a":1,"b":2}`, `{"b":2,"c":3}`, `{"a":1,"b":2,"c":3}`}, []string{`{}`, `{"a":1}`, `{"b":2,"a":1}`, `{"a":1,}`, `{"b":2,"d":1}`}},
		{`{"properties":{"a":{"const":1}},"additionalProperties":{"type":"integer"}}`,
			[]string{`{}`, `{"a":1}`, `{"a":1,"b":7,"ab":8}`, `{"aa":3}`, `{"":1}`}, []string{`{"a":2}`, `{"b":2,"a":1}`, `{"\u0061":2}`, `{"b":"x"}`}},
		{`{"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2}`, []string{`{"x":1}`, `{"x":1,"y":2}`}, []string{`{}`, `{"x":1,"y":2,"z":3}`}},
		{`{"patternProperties":{"^x":{"const":1},"y$":{"const":2}},"additionalProperties":{"const":3}}`, []string{`{"xa":1,"ay":2,"b":3}`, `{}`}, []string{`{"xy":1}`, `{"xa":3}`, `{"b":1}`}},
		{`{"type":"object"}`, []string{`{}`, `{"a":[1,{"b":null}],"c":"d"}`}, []string{`[]`, `{"a"}`, `{"a":1,}`}},
		{`{}`, []string{`null`, `1`, `"x"`, `[[[]]]`, `{"a":{}}`, `true`}, []string{``, `nul`, ` 1`}},
		{`true`, []string{`null`}, nil},
		{`{"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}],"minimum":3}`, []string{`3`, `"a"`}, []string{`2`, `"ab"`}},
		{`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind","x"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]}`,
			[]string{`{"kind":"a","x":1}`, `{"kind":"b"}`}, []string{`{"kind":"b","x":1}`, `{"kind":"a"}`}},
		{`{"oneOf":[{"type":"string","pattern":"^a"},{"type":"string","pattern":"^b"},{"type":"null"},{"minimum":3,"type":"integer"},{"type":"integer","exclusiveMaximum":3}]}`, []string{`"ax"`, `"b"`, `null`, `1`, `3`}, []string{`"c"`}},
		{`{"allOf":[{"properties":{"a":{"type":"integer","minimum":3}},"required":["a"]},{"properties":{"a":{"maximum":5},"b":{"const":1}},"required":["b"]}]}`,
			[]string{`{"a":3,"b":1}`, `{"a":5,"b":1}`}, []string{`{"a":6,"b":1}`, `{"a":2,"b":1}`, `{"a":3}`}},
		{`{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]}},"required":["v","next"]}}}`,
			[]string{`{"v":1,"next":null}`, `{"v":1,"next":{"v":2,"next":{"v":3,"next":null}}}`}, []string{`{"v":1}`, `{"v":1,"next":{}}`}},
		{`{"type":"array","items":{"$ref":"#"}}`, []string{`[]`, `[[],[[]]]`}, []string{`[1]`, `[[]`}},
		{`{"$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{"const":1}}}`, []string{`1`}, []string{`2`}},
		{`{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"const":1}}}`, []string{`1`}, []string{`2`}},
		{`{"properties":{"a":{"$ref":"#/$defs/s","minLength":2}},"$defs":{"s":{"type":"string","maxLength":3}}}`, []string{`{"a":"xy"}`}, []string{`{"a":"x"}`, `{"a":"wxyz"}`}},
		{`{"properties":{"a":false,"b":{"const":1}}}`, []string{`{}`, `{"b":1}`}, []string{`{"a":1}`}},
		{`{"properties":{"é\"":{"const":1}}}`, []string{`{"é\"":1}`}, nil},
		{`{"type":"object","required":["z"]}`, []string{`{"z":[]}`}, []string{`{}`}},
	} {
		g, err := JSONSchema([]byte(c.source), JSONOptions{})
		checkTexts(t, c, g, err)
	}
}

func TestJSONSpaced(t *testing.T) {
	g, err := JSONSchema([]byte(`{"properties":{"a":{"items":{"type":"integer"}},"b":{"type":"object"}},"required":["a"]}`), JSONOptions{Spaced: true})
	checkTexts(t, texts{"spaced", []string{
		`{"a":[1,2]}`, `{"a": [1, 2]}`, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}", `{ "a": [ ] }`, `{"a":[],"b":{ "x": 1 }}`,
	}, []string{`{"a":  []}`, "{\"a\":\n[]}", ` {"a":[]}`, `{"a":[]} `, "{\n" + strings.Repeat(" ", 33) + `"a":[]}`}}, g, err)
}

// What can't be honoured is refused: by name, with a pointer to it.
func TestJSONSchemaRefusals(t *testing.T) {
	nested := strings.Repeat(`{"items":`, 70) + `{}` + strings.Repeat(`}`, 70)
	wide := `{"allOf":[` + strings.Repeat(`{"anyOf":[{"minLength":1},{"maxLength":5},{"pattern":"a"}]},`, 8) + `{}]}`
	diamond := `{"$ref":"#/$defs/d0","$defs":{`
	for i := range 20 {
		diamond += fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	diamond += `"d20":{"type":"string"}}}`
	for _, c := range []struct{ schema, at, reason string }{
		{`{"properties":{"a":{"not":{}}}}`, "#/properties/a/not", `"not" is not supported`},
		{`{"properties":{"a/b":{"if":{}}}}`, "#/properties/a~1b/if", `"if"`},
		{`{"type":"array","uniqueItems":true}`, "#/uniqueItems", "uniqueItems"},
		{`{"type":"array","contains":{}}`, "#/contains", "contains"},
		{`{"format":"idn-email"}`, "#/format", "idn-email"},
		{`{"multipleOf":7}`, "#/multipleOf", "multipleOf"},
		{`{"pattern":"(?=a)"}`, "#/pattern", "regexp"},
		{`{"pattern":"a\\b"}`, "#/pattern", "word boundaries"},
		{`{"pattern":"(a|^b)c"}`, "#/pattern", "beginning"},
		{`{"pattern":"a{1000000}"}`, "#/pattern", "repeat"},
		{`{"type":"strin"}`, "#/type", "strin"},
		{`{"type":7}`, "#/type", "want null"},
		{`{"$ref":"http://example.com/x"}`, "#/$ref", "within this schema"},
		{`{"$ref":"#/$defs/x"}`, "#/$ref", "refers to nothing"},
		{`{"$ref":"#a"}`, "#/$ref", "$anchor"},
		{`{"$ref":"#"}`, "#", "refers to itself"},
		{`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}`, "#/$defs/a", "refers to itself"},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "#/oneOf", "branches 0 and 1"},
		{`{"oneOf":[{"type":"string"},{"enum":["a"]}]}`, "#/oneOf", "branches 0 and 1"},
		{`{"oneOf":[{"type":"object","properties":{"a":{"const":1}}},{"type":"object","properties":{"a":{"const":2}},"required":["a"]}]}`, "#/oneOf", "branches 0 and 1"},
		{`{"minLength":-1}`, "#/minLength", "not negative"},
		{`{"minLength":1e9}`, "#/minLength", "at most"},
		{`{"items":[{}]}`, "#/items", "prefixItems"},
		{`{"properties":[]}`, "#/properties", "want an object"},
		{`{"properties":{"a":1}}`, "#/properties/a", "want a schema"},
		{`{"required":[1]}`, "#/required/0", "property name"},
		{`{"minProperties":2}`, "#", "minProperties"},
		{`{"properties":{"a":{"type":"integer"},"b":{}},"maxProperties":1}`, "#", "maxProperties"},
		{`{"const":1,"type":"string"}`, "", "no text at all"},
		{`{"$ref":"#/$defs/a","$defs":{"a":{"properties":{"a":{"$ref":"#/$defs/a"}},"required":["a"]}}}`, "", "no text at all"},
		{`{"pattern":"(a|b)*a(a|b){20}","minLength":30}`, "", "too complex"},
		{`{"type":"string","type":"null"}`, "", "twice"},
		{`{"a":`, "", "not valid JSON"},
		{`{} {}`, "", "one JSON value"},
		{"{\"title\":\"\xff\"}", "", "UTF-8"},
		{nested, "", "nested"},
		{wide, "#/allOf/5/anyOf", "ways to choose"},
		{diamond, "", "too many ways"},
		{`{"title":"` + strings.Repeat("x", maxSource) + `"}`, "", "at most"},
	} {
		_, err := JSONSchema([]byte(c.schema), JSONOptions{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.reason) || c.at != "" && e.At != c.at {
			t.Errorf("%.200s: found %v, want an error at %s with %q", c.schema, err, c.at, c.reason)
		}
	}
}

func TestRegexTexts(t *testing.T) {
	for _, c := range []texts{
		{`a|bc*`, []string{"a", "b", "bccc"}, []string{"", "ac", "c"}},
		{`^\d{3}-[[:alpha:]]+$`, []string{"123-ab"}, []string{"123-", "12-a", "x123-ab"}},
		{`(?i)straße`, []string{"STRASSE"[:4] + "ßE", "strAße"}, []string{"strasse"}},
		{`(?i)k`, []string{"k", "K", "K"}, []string{"x"}},
		{`.`, []string{"a", "é", "€", "😀", "\r"}, []string{"", "\n", "ab", "\xff", "\xed\xa0\x80"}},
		{`(?s).`, []string{"\n"}, nil},
		{`\p{Greek}+`, []string{"αβγ"}, []string{"abc", ""}},
		{`[^a-c]`, []string{"d", "é", "\n"}, []string{"a", "c"}},
		{`(a?b?){2,3}`, []string{"", "ab", "abab", "bab", "ababab"}, []string{"abababab"}},
		{`a{2,}`, []string{"aa", "aaaa"}, []string{"a"}},
		{`(a*)*b`, []string{"b", "aab"}, []string{"a"}},
		{`(?:(?:a{10}){10}){10}`, []string{strings.Repeat("a", 1000)}, []string{strings.Repeat("a", 999)}},
		{`[\x{800}-\x{10FFFF}]`, []string{"\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"}, []string{"\u07ff", "a"}},
	} {
		g, err := Regex(c.source)
		checkTexts(t, c, g, err)
	}
	for expr, reason := range map[string]string{
		`a(`: "missing", `a{1000000}`: "repeat", `\bx`: "word boundaries", `(?m)a$\nb`: "multi-line", `a^b`: "outermost", `[^\x00-\x{10FFFF}]`: "no text",
		strings.Repeat("a", maxSource+1): "at most", `(?=a)`: "invalid",
	} {
		if _, err := Regex(expr); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("Regex(%.40q): found %v, want an error with %q", expr, err, reason)
		}
	}
}

const gbnfJSON = `
# as in llama.cpp's grammars/json.gbnf
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
`

func TestGBNFTexts(t *testing.T) {
	for _, c := range []texts{
		{gbnfJSON, []string{`{}`, `{"a": [1, 2.5e3, "x\n"], "b": {"c": null}}` + "\n", "{\n\t\"a\":true}"}, []string{``, `[]`, `{"a"}`, `{"a":1,}`, `{a:1}`}},
		{"root ::= \"a\" | b\nb ::= \"(\" root \")\"", []string{"a", "((a))"}, []string{"(a", ""}},
		{"root ::= [a-c]{2,3} .? \"\\x41\\u00e9\\U0001F600\"", []string{"abAé😀", "abc€Aé😀"}, []string{"aAé😀", "abcdeAé😀"}},
		{"root ::= [^\\n]+ \"\\n\"", []string{"x\n"}, []string{"\n", "x\n\n"}},
		{"root ::= x{100000}\nx ::= \"ab\"", []string{strings.Repeat("ab", 100000)}, []string{"ab"}},
		{"root ::= (\"a\"\n | \"b\")\n  | \"c\"\n# end", []string{"a", "b", "c"}, []string{"d"}},
		{"root ::= \"a\" |\n \"b\"\r\nx-1 ::= \"y\"", []string{"a", "b"}, []string{"y"}},
		{"root ::= [a\\-z\\]] [-x] [x-]", []string{"a-x", "]x-", "-xx"}, []string{"bxx"}},
		{"root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\"", []string{"", "xy", "xxzy", strings.Repeat("x", 300) + strings.Repeat("yz", 150)}, []string{"x", "xxy"}},
	} {
		g, err := GBNF(c.source)
		checkTexts(t, c, g, err)
	}
	for text, reason := range map[string]string{
		"":                                       "want a rule",
		"a ::= \"x\"":                            `want a rule "root"`,
		"root ::= x":                             `"x" is used but not defined`,
		"root ::= root \"a\" | \"b\"":            "left recursion",
		"root ::= a\na ::= b? root\nb ::= \"x\"": "left recursion",
		"root ::= \"a\" root":                    "no text at all",
		"root ::= \"a":                           "end of a literal",
		"root ::= [a":                            "end of a class",
		"root ::= [z-a]":                         "empty",
		"root ::= (\"a\"":                        "want )",
		"root ::= \"a\"{1,":                      "want }",
		"root ::= \"a\"{3,2}":                    "n <= m",
		"root ::= \"a\"{99999999999}":            "numbers up to",
		"root ::= <think>":                       "tokens",
		"root ::= \"\\q\"":                       "want one of",
		"root ::= \"\\ud800\"":                   "hexadecimal",
		"root ::= \"a\"\nroot ::= \"b\"":         "line 2: rule \"root\" is defined twice",
		"root = \"a\"":                           "want ::=",
		"root ::= \"a\" )":                       "want the end",
		"root ::= *":                             "want a literal",
		"root ::= " + strings.Repeat("(", 70):    "nested",
		strings.Repeat("#", maxSource+1):         "at most",
	} {
		if _, err := GBNF(text); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("GBNF(%.60q): found %v, want an error with %q", text, err, reason)
		}
	}
}
