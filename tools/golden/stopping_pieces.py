"""Writes the sample of the stop-string vectors that internal/decode/stop keeps: each case with the text pieces that its ids
decode to (the tokenizer's eager stream), so that the test needs no tokenizer.
usage: python stopping_pieces.py CASES.jsonl TOKENIZER.json[.gz] OUT.jsonl
"""
import gzip, json, sys
from tokenizer import Stream, dump
from stopping import EOS


def main(cases, tokenizer, out):
    with (gzip.open if tokenizer.endswith(".gz") else open)(tokenizer, "rb") as f:
        t = json.load(f)
    token = {i: s for s, i in t["model"]["vocab"].items()} | {a["id"]: a["content"] for a in t["added_tokens"]}
    rows = []
    for line in open(cases):
        c = json.loads(line)
        s, pieces = Stream(token.get, "eager"), []
        for i in c["ids"]:
            if i in EOS:
                break
            pieces.append(s.push(i))
        rows.append({**c, "pieces": pieces, "last": s.flush()})
    dump(out, rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
