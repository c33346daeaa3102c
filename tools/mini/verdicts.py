"""Writes what evaluate.check says of stored answers and of edge cases, for the tests of internal/app/eval/obedience.

usage: verdicts.py ANSWERS.jsonl OUT_DIR     ANSWERS.jsonl: as `evaluate.py run` writes it
  OUT_DIR/answers.jsonl  {"id": prompt of heldout.jsonl, "answer": s, "verdicts": one 0 or 1 for each check}
  OUT_DIR/edges.json     every check of "checks" applied to every answer of "answers": "verdicts"[check] is a string of 0 and 1
"""
import json
import os
import sys
from evaluate import check

ANSWERS = ["", " ", "\n", "yes", "Yes.", "YES!", " no ", "No, sorry.", "noyes", "¡Yes!", "_yes_", "Yes\n", "\"No\"", "nO…", "42", "142", "420", "4 2", "42nd", "x42", "42.", "-42", "4.2", "(42)", "٤٢42", "42٣", "a\n42\nb", "42\n", "\n42",
    "é42", "42é", "_42", "the cat", "concat", "cat\u0301", "cat_", "écat", "cat.", "CAT", "dog|cat", "don't", "don\u2019t", "do  not", "DO NOT!", "1. a\n2. b", " 1. a", "x\n1. a", "1.a", "- a\n- b\n- c", "-a", "a\n\nb", "a\r\nb", "a\n", "\na\n\n", "a\u2028b", "a\x0bb",
    "Hello. World", "Hello.\nWorld", "Hello.  World", "één. één", "straße", "STRASSE", "STRAßE", "STRAẞE", "ﬁn", "ŉ", "ǅ", "ΑΣ", "ας", "ασ", "ΑΣ.", "Σ", "İ", "i̇", "ı", "I", "ſ", "K", "k", "ÅNGSTRÖM", "ångström", "123", "ªº", "ⅷ", "Ⅷ", "ⓐ", "中文", "ß", "ᾳ", "ᾼ", "ΐ",
    "one two three", "one  two\tthree\n", "one\xa0two", "one\u3000two", "one\u200btwo", "one\x1ftwo", "one\x85two", "a b c d e", "a b c d e f", "word", ".", "...", "moo", "moo!", "Moo 🐱", "🐱", "🐱 moo", "moo 🐱\n", "🐱🐱", "❤️ hi", "❤ hi", "hi ❤️", "hi❤", "Moo moo", "moos", "xmoo", "moo\u0301",
    "{}", "[]", "{\"answer\": \"x\"}", "{\"answer\": null}", " {\"answer\":1} ", "{\"answer\": 1,}", "{'answer': 1}", "{\"Answer\": 1}", "{\"a\": {\"answer\": 1}}", "{\"answer\": 1} x", "{\"answer\": NaN}", "{\"answer\": [Infinity, -Infinity]}", "{\"answer\": -NaN}", "{\"answer\": 1NaN}", "{\"answer\": \"NaN\"}", "{\"answer\": \"a\nb\"}",
    "{\"answer\": \"\\ud800\"}", "{\"answer\": 1e999}", "{\"answer\": 01}", "{\"answer\": 1.}", "{\"answer\": \"\\x\"}", "{\"\\u0061nswer\": 1}", "{\"answer\": 1, \"answer\": 2}", "\ufeff{\"answer\": 1}", "{\"answer\": \"\x7f\"}", "\xa0{\"answer\": 1}", "{\"answer\": \"\\\"NaN\"}", "{\"answer\": tru}", "{\"b\": \"answer\"}", "null", "\"answer\"", "{\"answer\": Infinityx}", "{\"x\": \"\\\\\", \"answer\": NaN}", "{NaN: 1, \"answer\": 1}",
    "ab\nc", "ab\n", "ab\n\n", "x\n- a", "catab\n", "zogreci@juice.org", "ZOGRECI@JUICE.ORG", "zogreci@juicexorg", "sí", "SÍ", "si\u0301", "Mädchen", "MÄDCHEN", "iron", "İron", "ıron", "Iron", "Kelvin", "Kelvin", "paſt", "past"]
CHECKS = [["regex", v] for v in (r"(?<!\d)42(?!\d)", r"(?<!\d)4(?!\d)", r"\b42\b", r"\b4\b", r"\b(cat|dog)\b", r"\b(no|nay|don't|do not|sorry)\b", r"\b(yes|aye)\b", r"\b(iron|gold|silver)\b", "sorry|not|no", r"^1\. ", r"^- ", r"^1\.", r"\w+\. \w+", r"\?", r"zogreci@juice\.org", "sí", "Mädchen", "kelvin", "past", "iron", r"a\-b|do\ not", "straße", "$", "b$")]
CHECKS += [["not_regex", v] for v in ("4711|42", r"\b4\b", "cat", "^- ", "b$", r"(?<!\d)42(?!\d)")]
CHECKS += [["equals", v] for v in ("yes", "Yes.", "42", "straße", "ας", "ΑΣ", "🐱", "", "...", "i̇", "İ", "word", "-42", "a\nb")]
CHECKS += [["starts", v] for v in ("moo", "Moo!", "🐱", "❤️", "ye", "straß", "", " ", "Σ")] + [["ends", v] for v in ("moo", "Moo!", "🐱", "❤️", "es", "sse", "", "\n", "ΑΣ", "σ")]
CHECKS += [["upper", ""], ["lower", ""], ["yes_no", ""], ["json", ""], ["json", "answer"], ["json", "a"]] + [["lines", str(n)] for n in (1, 2, 3)] + [["max_words", str(n)] for n in (1, 2, 5)] + [["min_words", str(n)] for n in (0, 1, 2, 3, 6)]


def main(answers, out):
    bit = lambda k, v, t: "01"[check(k, v, t)]
    with open(os.path.join(out, "answers.jsonl"), "w") as f:
        for r in map(json.loads, open(answers)):
            f.write(json.dumps({"id": r["id"], "answer": r["answer"], "verdicts": "".join(bit(k, v, r["answer"]) for k, v in r["checks"])}, ensure_ascii=False) + "\n")
    edges = {"answers": ANSWERS, "checks": CHECKS, "verdicts": ["".join(bit(k, v, t) for t in ANSWERS) for k, v in CHECKS]}
    with open(os.path.join(out, "edges.json"), "w") as f:
        json.dump(edges, f, indent=1)  # ASCII: the odd characters are the point


if __name__ == "__main__":
    main(*sys.argv[1:])
