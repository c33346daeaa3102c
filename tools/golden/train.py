"""Writes training reference data: gradients, LoRA gradients, optimiser runs, chat labels, packing, QLoRA, resume, data parallel.

usage: python train.py OUT [--seed N] [--golden DIR]     (DIR: the folder with tokenizer/small and templates/jinja)
Needs torch, transformers, peft, accelerate, bitsandbytes, sentencepiece. Float64 values come from train_ref.py (autograd in true
float64, confirmed by a hand-written backward and by finite differences); float32 values from transformers, peft and torch themselves.
"""
import argparse, json, math, os, random, warnings

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
warnings.filterwarnings("ignore")
import numpy as np
import torch
import transformers
import peft
from peft import LoraConfig, PeftModel, get_peft_model
from common import build, clean, fresh, load, read, save
from train_ref import LIN, Lora, MISTAKES, forward, loss_of, manual, shifted

F64, F32 = torch.float64, torch.float32
OBS = {}
TINY = dict(max_position_embeddings=64)


def dump(path, obj):
    """JSON with one line per key and lists on one line."""
    import re
    t = json.dumps(obj, indent=1, ensure_ascii=False)
    t = re.sub(r"\[[^\[\]{}]*\]", lambda m: " ".join(m.group(0).split()).replace("[ ", "[").replace(" ]", "]"), t)
    for _ in range(3):
        t = re.sub(r"\[\s+(\[[^{}\n]*?\](?:,\s+\[[^{}\n]*?\])*)\s+\]", lambda m: "[" + re.sub(r",\s+\[", ", [", m.group(1)) + "]", t)
    assert json.loads(t) == json.loads(json.dumps(obj))
    with open(path, "w") as f:
        f.write(t + "\n")


def sub(*p):
    d = os.path.join(*p)
    os.makedirs(d, exist_ok=True)
    return d


def f32(t):
    return t.detach().to(F32)


def rel(a, b):
    """max |a - b| / max |b| (b: reference)."""
    a, b = a.detach().double(), b.detach().double()
    m = float(b.abs().max())
    return float((a - b).abs().max()) / m if m else float((a - b).abs().max())


def sig(x, k=3):
    return float(f"{x:.{k}g}")


def weights64(d, grad=True):
    return {k: v.double().requires_grad_(grad) for k, v in read(os.path.join(d, "model.safetensors")).items()}


def conf(d):
    return json.load(open(os.path.join(d, "config.json")))


def write_model(d, over, seed, mild=False):
    m = build({**TINY, **over}, seed)
    if mild:                                # soft caps hardly bend: a model that trains smoothly
        g = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for n, p in m.named_parameters():
                if n == "model.norm.weight":
                    p.copy_(torch.randn(p.shape, generator=g) * 0.3 + 0.5)
                elif "q_proj" in n or "k_proj" in n:
                    p.mul_(0.4)
    m.save_pretrained(d)
    if os.path.exists(os.path.join(d, "generation_config.json")):
        os.remove(os.path.join(d, "generation_config.json"))


def rows(B, n, V, seed, lengths=None, answer=None):
    """ids, labels, keep. The first part of each row (the prompt) is not a target; padding is 0 / -100 / 0."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, V, (B, n), generator=g)
    ids[:, 0] = 2
    labels, keep = ids.clone(), torch.ones(B, n, dtype=torch.long)
    for b in range(B):
        m = n if lengths is None else lengths[b]
        start = int(torch.randint(1, max(2, m // 2), (1,), generator=g)) if answer is None else m - answer[b]
        labels[b, :start] = -100
        ids[b, m:], labels[b, m:], keep[b, m:] = 0, -100, 0
    return ids, labels, keep


# ---- 1. gradients of every parameter ---------------------------------------------------------------------------------

GRAD = {
    # name: (config, rows B, n, lengths, notes)
    "gqa-window": (dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
                        query_pre_attn_scalar=6, vocab_size=48, sliding_window=4), 2, 11, None, "layers local, global, local; window 4 of 11; tied"),
    "mqa-padded": (dict(hidden_size=18, intermediate_size=28, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=10,
                        query_pre_attn_scalar=7, vocab_size=50, sliding_window=3), 3, 9, [9, 6, 4], "3 query heads on 1; padded rows; query_pre_attn_scalar is not head_dim"),
    "mha-untied": (dict(hidden_size=18, intermediate_size=22, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=14,
                        query_pre_attn_scalar=14, vocab_size=30, sliding_window=5, tie_word_embeddings=False), 2, 10, None, "own lm_head"),
    "no-softcap": (dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                        query_pre_attn_scalar=8, vocab_size=44, sliding_window=4, attn_logit_softcapping=None, final_logit_softcapping=None), 2, 10, None, "both caps off"),
    "tight-caps": (dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=8,
                        query_pre_attn_scalar=12, vocab_size=44, sliding_window=4, attn_logit_softcapping=3.0, final_logit_softcapping=5.0,
                        layer_types=["full_attention", "sliding_attention"], rope_parameters={"rope_type": "default", "rope_theta": 300.0}), 2, 10, None,
                   "caps 3 and 5 deep in saturation; global layer first; rope theta 300"),
    "pad-in-text": (dict(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                         query_pre_attn_scalar=8, vocab_size=30, sliding_window=4), 2, 8, None,
                    "id 0 inside the text, and one row without any target"),
}


def hf_grads(m, ids, labels, keep, total=None):
    taps = []
    hs = [l.register_forward_pre_hook(lambda _m, a, k: (lambda x: (x.retain_grad(), taps.append(x)))(a[0] if a else k["hidden_states"]) and None, with_kwargs=True)
          for l in m.model.layers]
    hs.append(m.model.norm.register_forward_pre_hook(lambda _m, a: (a[0].retain_grad(), taps.append(a[0])) and None))
    kw = {} if total is None else {"num_items_in_batch": total}
    out = m(input_ids=ids, attention_mask=keep, labels=labels, use_cache=False, **kw)
    out.loss.backward()
    for h in hs:
        h.remove()
    return out, {k: p.grad for k, p in m.named_parameters() if p.grad is not None}, taps


def section_grad(out, seed):
    obs = OBS["grad"] = {}
    for i, (name, (over, B, n, lengths, note)) in enumerate(GRAD.items()):
        d = sub(out, "grad", name)
        write_model(d, over, seed + 10 * i)
        ids, labels, keep = rows(B, n, over["vocab_size"], seed + 500 + i, lengths)
        if name == "pad-in-text":
            ids[:, 4] = 0
            labels[:, 4] = 0
            labels[1] = -100
        c = conf(d)
        w = weights64(d)
        taps, inner = [], {} if name == "gqa-window" else None
        lg = forward(w, c, ids, keep if lengths else None, taps=taps, inner=inner)
        loss = loss_of(lg, labels)
        loss.backward()
        # hand-written backward
        wn = {k: v.detach().numpy() for k, v in w.items()}
        kn = keep.numpy() if lengths else None
        ml, mg, mdh = manual(wn, c, ids.numpy(), labels.numpy(), kn)
        hand = max(rel(torch.from_numpy(mg[k]), w[k].grad) for k in w)
        hand_dh = max(rel(torch.from_numpy(a), t.grad) for a, t in zip(mdh, taps))
        assert hand < 1e-10 and hand_dh < 1e-10 and abs(ml - float(loss)) < 1e-11, (name, hand, hand_dh, ml - float(loss))
        # finite differences along random directions
        g = torch.Generator().manual_seed(seed + 900 + i)
        fd = []
        for _ in range(3):
            dirs = {k: torch.randn(v.shape, generator=g, dtype=F64) * v.detach().abs().mean() for k, v in w.items()}
            if name == "pad-in-text":       # torch drops the input side of id 0, a true derivative does not
                dirs["model.embed_tokens.weight"][0] = 0
            h = 1e-6
            f = lambda s: float(loss_of(forward({k: v.detach() + s * dirs[k] for k, v in w.items()}, c, ids, keep if lengths else None), labels))
            num, ana = (f(h) - f(-h)) / (2 * h), float(sum((v.grad * dirs[k]).sum() for k, v in w.items()))
            fd.append(abs(num - ana) / max(abs(ana), 1e-3))
        assert max(fd) < 1e-6, (name, fd)
        # float32: transformers
        m = load(d)
        o, g32, t32 = hf_grads(m, ids, labels, keep if lengths else None)
        assert set(g32) == set(w)
        per = {k: rel(g32[k], w[k].grad) for k in w}
        dh32 = [rel(a.grad, b.grad) for a, b in zip(t32, taps)]
        allg = torch.cat([w[k].grad.flatten() for k in sorted(w)])
        mist = {}
        for k in MISTAKES:
            _, bad, _ = manual(wn, c, ids.numpy(), labels.numpy(), kn, mistake=k)
            mist[k] = sig(float((torch.cat([torch.from_numpy(bad[x]).flatten() for x in sorted(w)]) - allg).norm() / allg.norm()))
        t = {"input_ids": ids.int(), "labels": labels.int(), "logits": f32(lg)}
        if lengths:
            t["attention_mask"] = keep.to(torch.uint8)
            t["logits"] = t["logits"] * keep[..., None]      # padded positions are not defined
        for k in w:
            t["grad." + k] = f32(w[k].grad)
        for j, x in enumerate(taps):
            t[f"dhidden.{j}"] = f32(x.grad)
        if inner:
            for k, x in inner.items():
                if k.startswith("layer.0.") or "." not in k:
                    t["d." + k] = f32(x.grad)
        save(os.path.join(d, "expected.safetensors"), t)
        info = {"case": name, "note": note, "seed": seed + 10 * i, "loss_f64": float(loss), "loss_f32": float(o.loss), "targets": int((shifted(labels) != -100).sum()),
                "gradient_norm_f64": float(allg.norm()), "f32_vs_f64_relative_to_largest": {"max": sig(max(per.values())), "worst": max(per, key=per.get),
                "dhidden_max": sig(max(dh32)), "logits_max_abs": sig(float(((o.logits.double() - lg) * keep[..., None]).abs().max()))},
                "hand_written_backward_vs_autograd": sig(max(hand, hand_dh)), "finite_difference_relative": sig(max(fd)),
                "mistake_would_change_gradient_by": mist}
        if name == "pad-in-text":
            full = w["model.embed_tokens.weight"].grad[0]
            w2 = {k: v.detach().clone().requires_grad_(True) for k, v in w.items()}
            loss_of(forward(w2, {**c, "pad_token_id": None}, ids), labels).backward()
            info["row_0_gradient_change_if_pad_contributed"] = sig(float((w2["model.embed_tokens.weight"].grad[0] - full).norm() / full.norm()))
        dump(os.path.join(d, "expected.json"), info)
        obs[name] = {k: info[k] for k in ("loss_f64", "targets", "f32_vs_f64_relative_to_largest", "hand_written_backward_vs_autograd", "finite_difference_relative")}
        print(name, obs[name])


# ---- LoRA -----------------------------------------------------------------------------------------------------------

ALL = list(LIN)
LORA = {
    "qv-r2-start": dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], _start=True),
    "all-linear-r4": dict(r=4, lora_alpha=8, target_modules=ALL),
    "mlp-r3-alpha1": dict(r=3, lora_alpha=1, target_modules=["gate_proj", "up_proj", "down_proj"]),
    "rslora-r8": dict(r=8, lora_alpha=8, target_modules=["q_proj", "o_proj", "down_proj"], use_rslora=True),
    "dora-r4": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], use_dora=True),
    "patterns": dict(r=4, lora_alpha=4, target_modules=["q_proj", "k_proj", "gate_proj"], rank_pattern={"gate_proj": 2}, alpha_pattern={"k_proj": 12}),
    "layer-1-only": dict(r=4, lora_alpha=8, target_modules=["k_proj", "up_proj"], layers_to_transform=[1], layers_pattern="layers"),
    "embedding-and-head": dict(r=2, lora_alpha=4, target_modules=["embed_tokens", "lm_head", "v_proj"]),
    "save-norms": dict(r=2, lora_alpha=4, target_modules=["o_proj"], modules_to_save=["input_layernorm"]),
}


def randomise(pm, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for n, p in pm.named_parameters():
            if "lora_A" in n or "lora_embedding_A" in n:
                p.copy_(torch.randn(p.shape, generator=g) / p.shape[1] ** 0.5)
            elif "lora_B" in n or "lora_embedding_B" in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.25)
            elif "lora_magnitude" in n:
                p.mul_(1 + 0.2 * torch.randn(p.shape, generator=g))
            elif "modules_to_save" in n and "original" not in n:
                p.add_(0.1 * torch.randn(p.shape, generator=g))


def start_values(pm, seed):
    """The usual start: B = 0, A random (values come from the seed; PEFT itself draws kaiming_uniform(a=sqrt(5)))."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for n, p in pm.named_parameters():
            if "lora_A" in n:
                p.copy_((torch.rand(p.shape, generator=g) * 2 - 1) / p.shape[1] ** 0.5)


def tidy_adapter(d, base):
    p = os.path.join(d, "adapter_config.json")
    c = json.load(open(p))
    c["base_model_name_or_path"] = base
    for k, v in c.items():
        if isinstance(v, list) and v and isinstance(v[0], str):
            c[k] = sorted(v)
    dump(p, c)
    if os.path.exists(os.path.join(d, "README.md")):
        os.remove(os.path.join(d, "README.md"))


def saved_name(n):
    """PEFT's parameter name -> name in adapter_model.safetensors."""
    return n.replace(".modules_to_save.default", "").replace(".default", "").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")


def own_lora(d, w):
    """Reads an adapter folder into float64: (parameters by file name, weights with replaced ones, Lora modules)."""
    c = json.load(open(os.path.join(d, "adapter_config.json")))
    P = {k: v.double().requires_grad_(True) for k, v in read(os.path.join(d, "adapter_model.safetensors")).items()}
    return P, *attach(P, c, w)


def attach(P, c, w):
    import re
    w = dict(w)
    lora = {}
    pick = lambda pats, name, default: next((v for k, v in (pats or {}).items() if re.match(rf"(.*\.)?({k})$", name)), default)
    for k in P:
        name = k.removeprefix("base_model.model.")
        m = re.match(r"(.*)\.lora_(A\.weight|embedding_A)$", name)
        if m:
            mod, A = m.group(1), P[k]
            Bm = P[k.replace("lora_A", "lora_B").replace("embedding_A", "embedding_B")]
            r = A.shape[0]
            assert r == pick(c.get("rank_pattern"), mod, c["r"])
            al = pick(c.get("alpha_pattern"), mod, c["lora_alpha"])
            mag = P.get("base_model.model." + mod + ".lora_magnitude_vector")
            lora[mod] = Lora(A, Bm, al / (r ** 0.5 if c.get("use_rslora") else r), mag)
        elif ".lora_" not in name:
            w[name] = P[k]
    return w, lora


def hand_lora(P, w, lora, c, ids, labels):
    """Gradients of adapter tensors from G = gradient of the effective weight (hand-written backward on merged weights)."""
    n = lambda t: t.detach().numpy()
    eff = {k: n(v) for k, v in w.items()}
    eff.setdefault("lm_head.weight", eff["model.embed_tokens.weight"])
    base = dict(eff)
    for m, l in lora.items():
        k = m + ".weight"
        eff[k] = base[k] + l.s * (n(l.B) @ n(l.A)).T if m == "model.embed_tokens" else n(l.weight(torch.from_numpy(base[k])))
    _, G, _ = manual(eff, c, ids.numpy(), labels.numpy())
    out = {}
    for m, l in lora.items():
        g, A, B, p = G[m + ".weight"], n(l.A), n(l.B), "base_model.model." + m
        if m == "model.embed_tokens":
            out[p + ".lora_embedding_A"], out[p + ".lora_embedding_B"] = l.s * (B.T @ g.T), l.s * (g.T @ A.T)
            continue
        if l.mag is not None:
            U = base[m + ".weight"] + l.s * (B @ A)
            r = np.sqrt((U * U).sum(1))
            out[p + ".lora_magnitude_vector"] = (g * U).sum(1) / r
            g = g * (n(l.mag) / r)[:, None]
        out[p + ".lora_A.weight"], out[p + ".lora_B.weight"] = l.s * (B.T @ g), l.s * (g @ A.T)
    for k in P:
        if ".lora_" not in k:
            out[k] = G[k.removeprefix("base_model.model.")]
    return out


def section_lora(out, seed):
    obs = OBS["lora"] = {}
    bd = os.path.join(out, "grad", "gqa-window")
    c = conf(bd)
    ids, labels, _ = rows(2, 11, c["vocab_size"], seed + 500)
    for i, (name, kw) in enumerate(LORA.items()):
        kw = dict(kw)
        start = kw.pop("_start", False)
        d = sub(out, "lora", name)
        pm = get_peft_model(load(bd), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **kw))
        (start_values if start else randomise)(pm, seed + 1000 + i)
        pm.save_pretrained(d, save_embedding_layers=False)
        tidy_adapter(d, "../../grad/gqa-window")
        pm = PeftModel.from_pretrained(load(bd), d, is_trainable=True).train()
        o = pm(input_ids=ids, labels=labels, use_cache=False)
        o.loss.backward()
        g32 = {saved_name(n): p.grad for n, p in pm.named_parameters() if p.requires_grad}
        w = weights64(bd, False)
        P, w2, lora = own_lora(d, w)
        taps = []
        lg = forward(w2, c, ids, lora=lora, taps=taps)
        loss = loss_of(lg, labels)
        loss.backward()
        assert set(g32) == set(P), (set(g32) ^ set(P))
        assert all(v is not None for v in g32.values())
        per = {k: rel(g32[k], P[k].grad) for k in P}
        hand = hand_lora(P, w2, lora, c, ids, labels)
        herr = max(rel(torch.from_numpy(hand[k]), P[k].grad) for k in P)
        assert herr < 1e-10, (name, herr)
        t = {"input_ids": ids.int(), "labels": labels.int(), "logits": f32(lg)}
        for k in P:
            t["grad." + k] = f32(P[k].grad)
        t["dhidden.0"] = f32(taps[0].grad)
        save(os.path.join(d, "expected.safetensors"), t)
        info = {"case": name, "trainable": sum(p.numel() for p in P.values()), "loss_f64": float(loss), "loss_f32": float(o.loss), "targets": int((shifted(labels) != -100).sum()),
                "f32_vs_f64_relative_to_largest": {"max": sig(max(per.values())), "worst": max(per, key=per.get)}, "hand_written_vs_autograd": sig(herr)}
        if start:
            assert all(float(P[k].grad.abs().max()) == 0 for k in P if "lora_A" in k)
            assert all(float(g32[k].abs().max()) == 0 for k in P if "lora_A" in k)
            info["note"] = "B is zero: every gradient of A is exactly zero"
        if kw.get("use_dora"):              # what the true derivative would be
            P2 = {k: v.detach().clone().requires_grad_(True) for k, v in P.items()}
            w3, l3 = attach(P2, json.load(open(os.path.join(d, "adapter_config.json"))), w)
            old = Lora.weight
            Lora.weight = lambda s, W: (lambda V: V * (s.mag / V.norm(dim=1))[:, None])(W + s.s * (s.B @ s.A))
            loss_of(forward(w3, c, ids, lora=l3), labels).backward()
            Lora.weight = old
            info["gradient_change_if_norm_were_not_constant"] = sig(max(rel(P2[k].grad, P[k].grad) for k in P))
        dump(os.path.join(d, "expected.json"), info)
        obs[name] = {k: v for k, v in info.items() if k not in ("case", "loss_f32")}
        print(name, info)



# ---- 2. optimiser, schedules, accumulation ---------------------------------------------------------------------------

OPT_BASE = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                query_pre_attn_scalar=8, vocab_size=40, sliding_window=5)
FULL_BASE = dict(hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                 query_pre_attn_scalar=8, vocab_size=40, sliding_window=5)
STEPS = 20
QV = dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])
RUNS = {
    # name: (adapter or None, rows per micro-batch, micro-batches, settings)
    "torch-defaults": (QV, 4, 1, dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.01, clip=None, sched="constant", warmup=0)),
    "hf-defaults": (QV, 4, 1, dict(lr=5e-5, betas=(0.9, 0.999), eps=1e-8, wd=0.0, clip=1.0, sched="linear", warmup=0)),
    "linear-warmup-clip": (QV, 4, 1, dict(lr=2e-2, betas=(0.9, 0.999), eps=1e-8, wd=0.1, clip=0.5, sched="linear", warmup=5)),
    "cosine": (QV, 4, 1, dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-6, wd=0.01, clip=1.0, sched="cosine", warmup=4)),
    "accumulate-tokens": (QV, 2, 3, dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, wd=0.0, clip=1.0, sched="constant_with_warmup", warmup=3, weighting="tokens")),
    "accumulate-means": (QV, 2, 3, dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, wd=0.0, clip=1.0, sched="constant_with_warmup", warmup=3, weighting="means")),
    "dora-rslora": (dict(r=2, lora_alpha=2, target_modules=["v_proj"], use_dora=True, use_rslora=True), 4, 1,
                    dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, wd=0.1, clip=1.0, sched="constant", warmup=0)),
    "full": (None, 4, 1, dict(lr=3e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.1, clip=1.0, sched="linear", warmup=2)),
}


def make_dataset(seed, V, M=48, n=12):
    """Rows with a rule to learn (x -> 5x + 3, one token in six random), lengths 7..12, 2..8 targets at the end."""
    g = random.Random(seed)
    ids, labels, keep = np.zeros((M, n), np.int64), np.full((M, n), -100), np.zeros((M, n), np.int64)
    for b in range(M):
        m = g.randint(7, n)
        x = g.randrange(V - 4)
        row = [2]
        while len(row) < m:
            row.append(4 + x)
            x = (5 * x + 3) % (V - 4) if g.random() > 1 / 6 else g.randrange(V - 4)
        t = g.randint(2, min(8, m - 2))
        ids[b, :m], keep[b, :m] = row, 1
        labels[b, m - t:m] = row[m - t:]
    return {"ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels), "keep": torch.from_numpy(keep)}


def make_order(rows_, micro, steps, M=48):
    k, out = 0, []
    for _ in range(steps):
        st = []
        for _ in range(micro):
            st.append([(k + j) % M for j in range(rows_)])
            k += rows_
        out.append(st)
    return out


def groups(params, wd):
    """Weight decay as transformers' Trainer sets it: not on norms and biases."""
    import re
    no = lambda n: any(re.search(p, n.lower()) for p in (r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"))
    return [{"params": [p for n, p in params.items() if not no(n)], "weight_decay": wd}, {"params": [p for n, p in params.items() if no(n)], "weight_decay": 0.0}]


def make_opt(params, o, fused=False):
    g = [x for x in groups(params, o["wd"]) if x["params"]]
    opt = torch.optim.AdamW(g, lr=o["lr"], betas=o["betas"], eps=o["eps"], foreach=False, fused=fused)
    sch = transformers.get_scheduler(o["sched"], opt, num_warmup_steps=o["warmup"], num_training_steps=STEPS)
    return opt, sch


class HandAdamW:
    """AdamW, clipping and decay groups written out (numpy float64), to confirm the formulas of the README."""

    def __init__(self, params, o):
        self.o, self.t, self.err = o, 0, 0.0
        self.p = {k: v.detach().numpy().copy() for k, v in params.items()}
        self.m, self.v = ({k: np.zeros_like(x) for k, x in self.p.items()} for _ in range(2))

    def step(self, grads, lr):
        o = self.o
        self.t += 1
        norm = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        f = 1.0 if o["clip"] is None else min(1.0, o["clip"] / (norm + 1e-6))
        b1, b2 = o["betas"]
        for k, g in grads.items():
            g = g * f
            wd = 0.0 if "norm" in k else o["wd"]
            self.p[k] = self.p[k] * (1 - lr * wd)
            self.m[k] = b1 * self.m[k] + (1 - b1) * g
            self.v[k] = b2 * self.v[k] + (1 - b2) * g * g
            mh, vh = self.m[k] / (1 - b1 ** self.t), self.v[k] / (1 - b2 ** self.t)
            self.p[k] = self.p[k] - lr * mh / (np.sqrt(vh) + o["eps"])

    def compare(self, params):
        self.err = max(self.err, max(float(np.abs(self.p[k] - v.detach().numpy()).max()) for k, v in params.items()))


def train_loop(params, loss_fn, ds, order, o, opt=None, sch=None, first=0, stop=None, fused=False, hand=None):
    """loss_fn(rows, total): sum of token losses / total. Returns per-step loss, gradient norm, learning rate and a trace of parameters."""
    if opt is None:
        opt, sch = make_opt(params, o, fused)
    tr = {"loss": [], "grad_norm": [], "lr": [], "targets": []}
    snap = lambda: {k: v.detach().clone() for k, v in params.items()}
    trace = [snap()]
    for t in range(first, len(order) if stop is None else stop):
        for p in params.values():
            p.grad = None
        cnt = [int((shifted(ds["labels"][r]) != -100).sum()) for r in order[t]]
        total, L = sum(cnt), 0.0
        for r, c in zip(order[t], cnt):
            l = loss_fn(r, total) if o.get("weighting", "tokens") == "tokens" else loss_fn(r, c) / len(cnt)
            l.backward()
            L += float(l)
        raw = {k: p.grad.numpy().copy() for k, p in params.items()} if hand else None
        if o["clip"] is not None:
            gn = float(torch.nn.utils.clip_grad_norm_(list(params.values()), o["clip"]))
        else:
            gn = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in params.values()))
        tr["loss"].append(L); tr["grad_norm"].append(gn); tr["lr"].append(sch.get_last_lr()[0]); tr["targets"].append(cnt)
        opt.step()
        sch.step()
        trace.append(snap())
        if hand:
            hand.step(raw, tr["lr"][-1])
            hand.compare(params)
    return tr, trace, opt, sch


def fn64(w, c, ac, P, ds):
    def f(r, total):
        if ac is None:
            lg = forward(P, c, ds["ids"][r], ds["keep"][r])
        else:
            w2, lora = attach(P, ac, w)
            lg = forward(w2, c, ds["ids"][r], ds["keep"][r], lora=lora)
        return loss_of(lg, ds["labels"][r], total)
    return f


def fn32(m, ds):
    return lambda r, total: m(input_ids=ds["ids"][r], attention_mask=ds["keep"][r], labels=ds["labels"][r], use_cache=False, num_items_in_batch=torch.tensor(total)).loss


def start64(ad, w):
    """Fresh leaves in float64 from an adapter folder."""
    return {k: v.double().requires_grad_(True) for k, v in read(os.path.join(ad, "adapter_model.safetensors")).items()}, json.load(open(os.path.join(ad, "adapter_config.json")))


def start32(bd, ad):
    pm = PeftModel.from_pretrained(load(bd), ad, is_trainable=True).train()
    return pm, {saved_name(n): p for n, p in pm.named_parameters() if p.requires_grad}


def opt_adapters(out, seed):
    """Start adapters: qv (B = 0) and the DoRA one."""
    bd = os.path.join(out, "optim", "base")
    for name, kw in (("start-qv", QV), ("start-dora", RUNS["dora-rslora"][0])):
        pm = get_peft_model(load(bd), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **kw))
        start_values(pm, seed + 2000)
        pm.save_pretrained(os.path.join(out, "optim", name))
        tidy_adapter(os.path.join(out, "optim", name), "../base")


def trainer_run(bd, ad, ds, order, o, rows_, micro, n_rows=None, accepts=None):
    """The real transformers Trainer on the same rows in the same order; returns final parameters and its log."""
    from transformers import Trainer, TrainingArguments, default_data_collator
    import tempfile
    pm, params = start32(bd, ad) if ad else (lambda m: (m, dict(m.named_parameters())))(load(bd).train())
    flat = [i for st in order for mb in st for i in mb][:n_rows]
    data = [{"input_ids": ds["ids"][i], "attention_mask": ds["keep"][i], "labels": ds["labels"][i]} for i in flat]
    with tempfile.TemporaryDirectory() as tmp:
        ta = TrainingArguments(output_dir=tmp, per_device_train_batch_size=rows_, gradient_accumulation_steps=micro, num_train_epochs=1, learning_rate=o["lr"],
                               weight_decay=o["wd"], adam_beta1=o["betas"][0], adam_beta2=o["betas"][1], adam_epsilon=o["eps"],
                               max_grad_norm=o["clip"] if o["clip"] is not None else 0.0, lr_scheduler_type=o["sched"], warmup_steps=o["warmup"],
                               optim="adamw_torch", use_cpu=True, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
                               train_sampling_strategy="sequential", logging_strategy="steps", dataloader_pin_memory=False)
        tr = Trainer(model=pm, args=ta, train_dataset=data, data_collator=default_data_collator)
        if accepts is not None:
            tr.model_accepts_loss_kwargs = accepts
        import contextlib, io
        with contextlib.redirect_stdout(io.StringIO()):
            tr.train()
        log = [h for h in tr.state.log_history if "loss" in h]
        return {k: v.detach().clone() for k, v in params.items()}, log, bool(tr.model_accepts_loss_kwargs)


def worst(a, b):
    return sig(max(float((a[k].double() - b[k].double()).abs().max()) for k in b))


def section_optim(out, seed):
    obs = OBS["optim"] = {}
    bd, fb = sub(out, "optim", "base"), sub(out, "optim", "base-full")
    write_model(bd, OPT_BASE, seed + 40, mild=True)
    write_model(fb, FULL_BASE, seed + 41, mild=True)
    opt_adapters(out, seed)
    ds = make_dataset(seed + 42, 40)
    save(os.path.join(out, "optim", "dataset.safetensors"), {"input_ids": ds["ids"].int(), "labels": ds["labels"].int(), "attention_mask": ds["keep"].to(torch.uint8)})
    # learning rates alone
    tab = []
    for name, total, wu, kw in [("constant", 10, 0, {}), ("constant_with_warmup", 10, 3, {}), ("linear", 10, 0, {}), ("linear", 20, 5, {}), ("linear", 7, 7, {}), ("cosine", 10, 0, {}),
                                ("cosine", 20, 4, {}), ("cosine_with_restarts", 20, 2, {"num_cycles": 2}), ("polynomial", 12, 2, {"lr_end": 1e-7, "power": 2.0}),
                                ("inverse_sqrt", 12, 3, {}), ("cosine_with_min_lr", 12, 2, {"min_lr_rate": 0.1}),
                                ("warmup_stable_decay", 16, 3, {"num_decay_steps": 5})]:
        op = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0 if name != "polynomial" else 1e-3)
        sc = transformers.get_scheduler(name, op, num_warmup_steps=wu, num_training_steps=total, scheduler_specific_kwargs=kw or None)
        v = []
        for _ in range(total + 2):
            v.append(sc.get_last_lr()[0])
            op.step(); sc.step()
        tab.append({"name": name, "base_lr": 1.0 if name != "polynomial" else 1e-3, "total_steps": total, "warmup_steps": wu, "options": kw, "lr": v})
    with open(os.path.join(out, "optim", "schedules.jsonl"), "w") as f:
        for r in tab:
            f.write(json.dumps(r) + "\n")
    finals = {}
    for name, (ad, rows_, micro, o) in RUNS.items():
        d = sub(out, "optim", name)
        order = make_order(rows_, micro, STEPS, 8 if name == "linear-warmup-clip" else 48)
        base = fb if ad is None else bd
        adir = None if ad is None else os.path.join(out, "optim", "start-dora" if ad.get("use_dora") else "start-qv")
        c, w = conf(base), weights64(base, False)
        if ad is None:
            P, ac = weights64(base), None
            m = load(base).train()
            p32 = dict(m.named_parameters())
        else:
            P, ac = start64(adir, w)
            m, p32 = start32(base, adir)
        assert set(P) == set(p32)
        hand = HandAdamW(P, o)
        tr64, s64, _, _ = train_loop(P, fn64(w, c, ac, P, ds), ds, order, o, hand=hand)
        assert hand.err < 1e-13, (name, hand.err)
        tr32, s32, _, _ = train_loop(p32, fn32(m, ds), ds, order, o)
        # fused form of the same optimiser
        if ad is None:
            m2 = load(base).train(); q32 = dict(m2.named_parameters())
        else:
            m2, q32 = start32(base, adir)
        _, sfu, _, _ = train_loop(q32, fn32(m2, ds), ds, order, o, fused=True)
        keep = range(STEPS + 1) if ad is not None else [1, 2, 5, 10, 20]
        t = {}
        for k in P:
            t["f64." + k] = torch.stack([s64[i][k] if name in ("cosine", "linear-warmup-clip") else f32(s64[i][k]) for i in keep])
            if ad is not None:
                t["f32." + k] = torch.stack([s32[i][k] for i in (keep if name in ("cosine", "linear-warmup-clip") else (1, 10, 20))])
        save(os.path.join(d, "trace.safetensors"), t)
        info = {"run": name, "reference": f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}",
                "start": "base-full" if ad is None else os.path.basename(adir), "rows_per_micro_batch": rows_, "micro_batches": micro,
                "optimiser": {"name": "adamw", "lr": o["lr"], "beta1": o["betas"][0], "beta2": o["betas"][1], "eps": o["eps"], "weight_decay": o["wd"],
                              "no_decay": sorted(k for k in P if "norm" in k)},
                "clip_global_norm": o["clip"], "schedule": o["sched"], "warmup_steps": o["warmup"], "total_steps": STEPS, "weighting": o.get("weighting", "tokens"),
                "trace_steps": list(keep), "trace_steps_f32": [] if ad is None else list(keep) if name in ("cosine", "linear-warmup-clip") else [1, 10, 20], "order": order, "targets": tr64["targets"], "lr": tr64["lr"],
                "loss_f64": tr64["loss"], "loss_f32": tr32["loss"], "grad_norm_f64": tr64["grad_norm"], "grad_norm_f32": tr32["grad_norm"],
                "f32_vs_f64_max_abs_per_step": [worst(a, b) for a, b in zip(s32, s64)],
                "f32_loss_vs_f64_max_abs": sig(max(abs(a - b) for a, b in zip(tr32["loss"], tr64["loss"]))),
                "hand_written_adamw_vs_torch_f64_max_abs": sig(hand.err), "fused_vs_single_f32_max_abs": worst(sfu[-1], s32[-1]), "moved_max_abs": worst(s64[-1], s64[0])}
        finals[name] = s32[-1], tr32, s64[-1]
        # the real Trainer
        if o["clip"] is not None and "means" not in name:
            tp, log, acc = trainer_run(base, adir, ds, order, o, rows_, micro)
            info["trainer_vs_this_loop_f32"] = {"parameters_max_abs": worst(tp, s32[-1]), "loss_max_abs": sig(max(abs(h["loss"] - l) for h, l in zip(log, tr32["loss"]))),
                                                "grad_norm_max_abs": sig(max(abs(h["grad_norm"] - l) for h, l in zip(log, tr32["grad_norm"]))), "model_accepts_loss_kwargs": acc, "steps": len(log)}
            if name == "accumulate-tokens":
                tp2, log2, _ = trainer_run(base, adir, ds, order, o, rows_, micro, accepts=False)
                finals["trainer-means"] = tp2
        dump(os.path.join(d, "run.json"), info)
        obs[name] = {k: info.get(k) for k in ("f32_loss_vs_f64_max_abs", "hand_written_adamw_vs_torch_f64_max_abs", "fused_vs_single_f32_max_abs", "moved_max_abs", "trainer_vs_this_loop_f32")}
        obs[name]["f32_vs_f64_max_abs"] = max(info["f32_vs_f64_max_abs_per_step"])
        obs[name]["loss_first_last"] = [sig(tr64["loss"][0], 5), sig(tr64["loss"][-1], 5)]
        print(name, obs[name])
    o = RUNS["accumulate-tokens"][3]
    obs["accumulation"] = {"tokens_vs_means_parameters_max_abs": worst(finals["accumulate-tokens"][2], finals["accumulate-means"][2]),
                           "trainer_with_loss_kwargs_off_vs_mean_of_means_loop": worst(finals["trainer-means"], finals["accumulate-means"][0]),
                           "trainer_with_loss_kwargs_off_vs_token_loop": worst(finals["trainer-means"], finals["accumulate-tokens"][0])}
    # an epoch whose last accumulation is short: 8 micro-batches by 3
    order = make_order(2, 3, 3)
    order[-1] = order[-1][:2]
    m, p32 = start32(bd, os.path.join(out, "optim", "start-qv"))
    oo = {**o, "sched": "constant", "warmup": 0}
    _, s, _, _ = train_loop(p32, fn32(m, ds), ds, order, oo)
    tp, log, _ = trainer_run(bd, os.path.join(out, "optim", "start-qv"), ds, order, oo, 2, 3, n_rows=16)
    obs["short_last_accumulation"] = {"trainer_vs_loop_parameters_max_abs": worst(tp, s[-1]), "optimiser_steps": len(log)}
    print(obs["accumulation"], obs["short_last_accumulation"])


# ---- 5. output and 6. resume -----------------------------------------------------------------------------------------

def section_resume(out, seed):
    name = "cosine"
    ad, rows_, micro, o = RUNS[name]
    bd, adir = os.path.join(out, "optim", "base"), os.path.join(out, "optim", "start-qv")
    t = read(os.path.join(out, "optim", "dataset.safetensors"))
    ds = {"ids": t["input_ids"].long(), "labels": t["labels"].long(), "keep": t["attention_mask"].long()}
    order, c, w = make_order(rows_, micro, STEPS), conf(bd), weights64(bd, False)
    rec, T = {"run": name}, {}
    for kind in ("f64", "f32"):
        def fresh_state():
            if kind == "f64":
                P, ac = start64(adir, w)
                return P, fn64(w, c, ac, P, ds)
            m, P = start32(bd, adir)
            return P, fn32(m, ds)
        P, f = fresh_state()
        tr, full, _, _ = train_loop(P, f, ds, order, o)
        P, f = fresh_state()
        _, half, opt, sch = train_loop(P, f, ds, order, o, stop=10)
        st = {}
        for k, p in P.items():
            s = opt.state[p]
            st[k] = (p.detach().clone(), s["exp_avg"].clone(), s["exp_avg_sq"].clone(), int(s["step"]))
            T[f"{kind}.param.{k}"], T[f"{kind}.exp_avg.{k}"], T[f"{kind}.exp_avg_sq.{k}"] = st[k][:3]
        last = sch.last_epoch
        # a new process: everything anew, then the state is put in
        P, f = fresh_state()
        opt, sch = make_opt(P, o)
        with torch.no_grad():
            for k, p in P.items():
                p.copy_(st[k][0])
                opt.state[p] = {"step": torch.tensor(float(st[k][3])), "exp_avg": st[k][1].clone(), "exp_avg_sq": st[k][2].clone()}
        base_lr = sch.base_lrs
        for g, b in zip(opt.param_groups, base_lr):
            g["lr"] = b * sch.lr_lambdas[0](last)
        sch.last_epoch, sch._last_lr = last, [g["lr"] for g in opt.param_groups]
        tr2, rest, _, _ = train_loop(P, f, ds, order, o, opt=opt, sch=sch, first=10)
        assert tr2["loss"] == tr["loss"][10:] and all(torch.equal(rest[-1][k], full[-1][k]) for k in full[-1])
        # what goes wrong when something is forgotten
        bad = {}
        for what in ("moments", "step_count", "schedule"):
            P, f = fresh_state()
            opt, sch = make_opt(P, o)
            with torch.no_grad():
                for k, p in P.items():
                    p.copy_(st[k][0])
                    if what != "moments":
                        opt.state[p] = {"step": torch.tensor(float(st[k][3]) if what != "step_count" else 0.0), "exp_avg": st[k][1].clone(), "exp_avg_sq": st[k][2].clone()}
            if what != "schedule":
                for g, b in zip(opt.param_groups, base_lr):
                    g["lr"] = b * sch.lr_lambdas[0](last)
                sch.last_epoch, sch._last_lr = last, [g["lr"] for g in opt.param_groups]
            _, rest, _, _ = train_loop(P, f, ds, order, o, opt=opt, sch=sch, first=10)
            bad[what] = worst(rest[-1], full[-1])
        rec[kind] = {"resumed_equals_uninterrupted": "bitwise", "steps_done": 10, "scheduler_steps": last, "next_lr": tr["lr"][10], "next_micro_batch": order[10],
                     "forgetting_changes_final_parameters_by": bad}
    sub(out, "resume")
    save(os.path.join(out, "resume", "state-after-10.safetensors"), T)
    dump(os.path.join(out, "resume", "resume.json"), rec)
    OBS["resume"] = rec
    print(rec)
    # output of the run: what PEFT writes, and logits after merging
    m, P = start32(bd, adir)
    train_loop(P, fn32(m, ds), ds, order, o)
    d = sub(out, "output")
    m.save_pretrained(d)
    tidy_adapter(d, "../optim/base")
    got = read(os.path.join(d, "adapter_model.safetensors"))
    tr = read(os.path.join(out, "optim", name, "trace.safetensors"))
    assert set(got) == set(P) and all(torch.equal(got[k], tr["f32." + k][-1]) for k in got)
    g = torch.Generator().manual_seed(seed + 77)
    probe = torch.randint(4, 40, (1, 14), generator=g)
    probe[0, 0] = 2
    Pd, w2, lora = own_lora(d, w)
    lg = forward(w2, c, probe, lora=lora)
    wm = {k: (lora[k.removesuffix(".weight")].weight(v) if k.removesuffix(".weight") in lora else v) for k, v in w.items()}
    lm = forward(wm, c, probe)
    pm = PeftModel.from_pretrained(load(bd), d).eval()
    l32 = pm(input_ids=probe, use_cache=False).logits[0]
    mg = pm.merge_and_unload()
    m32 = mg(input_ids=probe, use_cache=False).logits[0]
    base = forward(w, c, probe)
    T = {"input_ids": probe[0].int(), "logits": f32(lg[0]), "logits_base": f32(base[0]), "logits_merged": f32(lm[0])}
    for k in ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"):
        T["merged." + k + ".weight"] = f32(wm[k + ".weight"])
    save(os.path.join(d, "expected.safetensors"), T)
    info = {"change_from_base_max_abs": sig(float((lg - base).abs().max())), "merged_vs_run_time_f64": sig(float((lm - lg).abs().max())),
            "peft_f32_run_time_vs_f64": sig(float((l32 - lg[0]).abs().max())), "peft_f32_merged_vs_f64": sig(float((m32 - lg[0]).abs().max())),
            "tensors": {k: list(v.shape) for k, v in sorted(got.items())}}
    dump(os.path.join(d, "expected.json"), info)
    OBS["output"] = {k: v for k, v in info.items() if k != "tensors"}
    print(OBS["output"])


# ---- 7. data parallel ------------------------------------------------------------------------------------------------

def section_parallel(out, seed):
    bd = os.path.join(out, "optim", "base")
    d = sub(out, "parallel")
    pm = get_peft_model(load(bd), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **QV))
    randomise(pm, seed + 3000)
    pm.save_pretrained(d)
    tidy_adapter(d, "../optim/base")
    c, w = conf(bd), weights64(bd, False)
    t = read(os.path.join(out, "optim", "dataset.safetensors"))
    ds = {"ids": t["input_ids"].long(), "labels": t["labels"].long(), "keep": t["attention_mask"].long()}
    whole = list(range(8))
    cnt = lambda r: int((shifted(ds["labels"][r]) != -100).sum())
    N = cnt(whole)
    T, info = {}, {"rows": whole, "targets_per_row": [cnt([i]) for i in whole], "workers": {}}

    def grads(kind, r, total):
        if kind == "f64":
            P, ac = start64(d, w)
            f = fn64(w, c, ac, P, ds)
        else:
            m, P = start32(bd, d)
            f = fn32(m, ds)
        f(r, total).backward()
        return {k: p.grad.detach().clone() for k, p in P.items()}
    ref = grads("f64", whole, N)
    one = grads("f32", whole, N)
    for k in ref:
        T["whole." + k] = ref[k]
    for W in (2, 4):
        parts = [whole[i * 8 // W:(i + 1) * 8 // W] for i in range(W)]
        rec = {"rows": parts, "targets": [cnt(r) for r in parts]}
        for kind, whole_g in (("f64", ref), ("f32", one)):
            gs = [grads(kind, r, N) for r in parts]
            s = {k: gs[0][k].clone() for k in ref}
            for g in gs[1:]:
                for k in s:
                    s[k] = s[k] + g[k]
            rev = {k: gs[-1][k].clone() for k in ref}
            for g in gs[-2::-1]:
                for k in rev:
                    rev[k] = rev[k] + g[k]
            again = [grads(kind, r, N) for r in parts]
            assert all(torch.equal(a[k], b[k]) for a, b in zip(gs, again) for k in ref)
            rec[kind] = {"sum_vs_whole_relative_to_largest": sig(max(rel(s[k], whole_g[k]) for k in ref)),
                         "sum_vs_reversed_sum": sig(max(rel(rev[k], s[k]) for k in ref)), "sum_vs_f64_whole": sig(max(rel(s[k], ref[k]) for k in ref))}
            if kind == "f64":
                for i, g in enumerate(gs):
                    for k in ref:
                        T[f"workers{W}.{i}.{k}"] = f32(g[k])
                own = [grads(kind, r, cnt(r)) for r in parts]
                mean = {k: sum(g[k] for g in own) / W for k in ref}
                rec["mean_of_worker_means_is_wrong_by"] = sig(max(rel(mean[k], ref[k]) for k in ref))
        info["workers"][str(W)] = rec
    info["f32_whole_vs_f64_whole"] = sig(max(rel(one[k], ref[k]) for k in ref))
    save(os.path.join(d, "expected.safetensors"), T)
    dump(os.path.join(d, "expected.json"), info)
    OBS["parallel"] = info
    print(info)


# ---- 4. frozen 4-bit and 8-bit bases ---------------------------------------------------------------------------------

Q_BASE = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
              query_pre_attn_scalar=8, vocab_size=40, sliding_window=5)


def section_qlora(out, seed):
    import bitsandbytes as bnb
    import bitsandbytes.functional as BF
    obs = OBS["qlora"] = {"bitsandbytes": bnb.__version__}
    bd = sub(out, "qlora", "base")
    write_model(bd, Q_BASE, seed + 60, mild=True)
    c, w = conf(bd), weights64(bd, False)
    ds = make_dataset(seed + 61, 40, M=20)
    o = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, wd=0.0, clip=1.0, sched="constant", warmup=0)
    order = make_order(4, 1, 5, M=20)
    ad = os.path.join(out, "qlora", "start")
    pm = get_peft_model(load(bd), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"]))
    randomise(pm, seed + 62)
    pm.save_pretrained(ad)
    tidy_adapter(ad, "../base")
    lin = [k for k in w if k.split(".")[-2] in LIN]
    save(os.path.join(out, "qlora", "dataset.safetensors"), {"input_ids": ds["ids"].int(), "labels": ds["labels"].int(), "attention_mask": ds["keep"].to(torch.uint8)})
    plain = None
    for kind in ("nf4", "int8"):
        T, deq = {}, {}
        for k in lin:
            v = w[k].float()
            if kind == "nf4":
                q, s = BF.quantize_4bit(v, blocksize=64, compress_statistics=True, quant_type="nf4")
                x = BF.dequantize_4bit(q, s)
                T["code"], T["code.nested"] = s.code, s.state2.code
                T[k + ".packed"], T[k + ".absmax_u8"], T[k + ".nested_absmax"], T[k + ".offset"] = q.flatten(), s.absmax, s.state2.absmax, s.offset.reshape(1)
            else:
                sc = (v.abs().amax(1, keepdim=True) / np.float32(127)).float()
                q = torch.from_numpy(np.rint(v.numpy() / sc.numpy())).clamp(-127, 127)
                x = q * sc
                T[k + ".int8"], T[k + ".scale"] = q.to(torch.int8), sc[:, 0]
            deq[k] = x.double()
        for k in ("model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"):
            T["dequantised." + k] = f32(deq[k])
        wq = {**w, **deq}
        P, ac = start64(ad, w)
        f = fn64(wq, c, ac, P, ds)
        r = order[0][0]
        N = int((shifted(ds["labels"][r]) != -100).sum())
        f(r, N).backward()
        g64 = {k: p.grad.clone() for k, p in P.items()}
        if plain is None:
            Pp, _ = start64(ad, w)
            fn64(w, c, ac, Pp, ds)(r, N).backward()
            plain = {k: p.grad.clone() for k, p in Pp.items()}
        # float32: bitsandbytes layers under PEFT (nf4); dequantised weights under PEFT (int8)
        m = load(bd)
        how = "dequantised weights in the model, peft"
        if kind == "nf4":
            for l in m.model.layers:
                for n, blk in LIN.items():
                    old = getattr(getattr(l, blk), n)
                    new = bnb.nn.Linear4bit(old.in_features, old.out_features, bias=False, compute_dtype=F32, compress_statistics=True, quant_type="nf4", quant_storage=torch.uint8)
                    new.weight = bnb.nn.Params4bit(old.weight.data.clone(), requires_grad=False, compress_statistics=True, quant_type="nf4", blocksize=64)
                    new.to("cpu")
                    setattr(getattr(l, blk), n, new)
            m.is_loaded_in_4bit = True
            how = "bitsandbytes Linear4bit on the CPU under peft"
        else:
            with torch.no_grad():
                for n, p in m.named_parameters():
                    if n in deq:
                        p.copy_(deq[n].float())
        pm = PeftModel.from_pretrained(m, ad, is_trainable=True).train()
        mod = pm.base_model.model.model.layers[0].self_attn.q_proj
        how += f" ({type(mod).__module__}.{type(mod).__name__})"
        p32 = {saved_name(n): p for n, p in pm.named_parameters() if p.requires_grad}
        assert set(p32) == set(P)
        if kind == "nf4":
            bl = mod.base_layer if hasattr(mod, "base_layer") else mod
            dd = BF.dequantize_4bit(bl.weight.data, bl.weight.quant_state)
            assert torch.equal(dd.double(), deq["model.layers.0.self_attn.q_proj.weight"]), "quantised weights differ"
        fn32(pm, ds)(r, N).backward()
        g32 = {k: p.grad.clone() for k, p in p32.items()}
        P, ac = start64(ad, w)
        tr64, s64, _, _ = train_loop(P, fn64(wq, c, ac, P, ds), ds, order, o)
        tr32, s32, _, _ = train_loop(p32, fn32(pm, ds), ds, order, o)
        for k in P:
            T["grad." + k] = f32(g64[k])
            T["f64." + k] = torch.stack([f32(s[k]) for s in s64])
        save(os.path.join(out, "qlora", kind + ".safetensors"), T)
        info = {"float32_reference": how, "rows_of_grad": r, "order": order, "loss_f64": tr64["loss"], "loss_f32": tr32["loss"], "grad_norm_f64": tr64["grad_norm"], "grad_norm_f32": tr32["grad_norm"],
                "optimiser": {"name": "adamw", "lr": o["lr"], "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}, "clip_global_norm": 1.0, "schedule": "constant",
                "grad_f32_vs_f64_relative_to_largest": sig(max(rel(g32[k], g64[k]) for k in g64)), "grad_vs_unquantised_base": sig(max(rel(g64[k], plain[k]) for k in g64)),
                "f32_vs_f64_parameters_max_abs_per_step": [worst(a, b) for a, b in zip(s32, s64)],
                "weights_relative_error": sig(float(sum((deq[k] - w[k]).norm() ** 2 for k in lin) ** 0.5 / sum(w[k].norm() ** 2 for k in lin) ** 0.5))}
        dump(os.path.join(out, "qlora", kind + ".json"), info)
        obs[kind] = {k: v for k, v in info.items() if k not in ("order", "loss_f64", "loss_f32", "grad_norm_f64", "grad_norm_f32", "optimiser")}
        print(kind, obs[kind])


# ---- 3. conversations to ids and labels, truncation, packing ---------------------------------------------------------

WORDS = "river stone green lamp quiet garden seven bridge paper morning window letter small copper hill winter bread story cloud engine".split()
DATA_BASE = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                 query_pre_attn_scalar=8, vocab_size=1200, sliding_window=6, max_position_embeddings=256)


def conversations(seed):
    g = random.Random(seed)
    s = lambda n: " ".join(g.choice(WORDS) for _ in range(n))
    U, A, S = (lambda t: {"role": "user", "content": t}), (lambda t: {"role": "assistant", "content": t}), (lambda t: {"role": "system", "content": t})
    return [
        ("one-turn", [U(s(5) + "?"), A(s(6) + ".")]),
        ("two-turns", [U(s(3)), A(s(4)), U(s(2) + "?"), A(s(3) + "!")]),
        ("trimmed", [U("  \n " + s(3) + "\t\n"), A("\n\n  " + s(3) + "  \n")]),
        ("code", [U("print " + s(2)), A("for i in range(%d):\n\tprint(i)\n\n\n# %s" % (g.randint(10, 999), s(2)))]),
        ("unicode", [U("\u00e4\u00f6\u00fc \u4f60\u597d \U0001f600 " + s(1)), A("\u0928\u092e\u0938\u094d\u0924\u0947 \u2581 " + s(2) + " \U0001f1e9\U0001f1ea")]),
        ("control-words", [U("say <end_of_turn> and <start_of_turn>model " + s(1)), A("<eos> " + s(1) + "<end_of_turn>" + s(1))]),
        ("empty-answer", [U(s(2)), A("")]),
        ("ends-with-user", [U(s(2)), A(s(3)), U(s(4))]),
        ("no-answer", [U(s(4))]),
        ("long", [U(s(20)), A(s(25) + "."), U(s(6)), A(s(12))]),
        ("system", [S(s(4) + "."), U(s(3)), A(s(3))]),
        ("system-newline", [S(s(3) + "\n"), U(s(2)), A(s(2))]),
        ("system-untrimmed", [S("  " + s(2) + "\n\n" + s(2) + "  "), U(" " + s(2) + " "), A(s(2)), U(s(1)), A(s(4))]),
        ("system-control-words", [S("never write <end_of_turn> or <bos>"), U(s(2)), A(s(2))]),
    ]


def section_data(out, seed, golden):
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    d = sub(out, "data")
    mp = os.path.join(golden, "tokenizer", "small", "small.model")
    whole = spm.SentencePieceProcessor(model_file=mp)
    proto = pb.ModelProto()
    proto.ParseFromString(open(mp, "rb").read())
    for i, name in ((106, "\ue001"), (107, "\ue002")):     # content: the same pieces without the two turn markers
        assert proto.pieces[i].piece in ("<start_of_turn>", "<end_of_turn>")
        proto.pieces[i].piece = name
    plain = spm.SentencePieceProcessor(model_proto=proto.SerializeToString())
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.globals["raise_exception"] = lambda m: (_ for _ in ()).throw(ValueError(m))
    NL = plain.encode("\n")
    assert NL == [108]
    ex = []
    for name, msgs in conversations(seed):
        system = msgs[0]["role"] == "system"
        tmpl = "systemgemma2" if system else "strict"
        text = env.from_string(open(os.path.join(golden, "templates", "jinja", tmpl + ".jinja")).read()).render(messages=msgs, bos_token="<bos>", add_generation_prompt=False)
        ids, lab, lab_nl, spans = [2], [-100], [-100], []

        def add(x, on=False, nl=False):
            if on:
                spans.append([len(ids), len(ids) + len(x)])
            ids.extend(x)
            lab.extend(x if on else [-100] * len(x))
            lab_nl.extend(x if on or nl else [-100] * len(x))
        rest = msgs
        if system:
            add(plain.encode(msgs[0]["content"] + "\n"))
            rest = msgs[1:]
        for m in rest:
            model = m["role"] == "assistant"
            head, body = ("model" if model else "user") + "\n", m["content"].strip()
            h, b = plain.encode(head), plain.encode(body) if body else []
            assert plain.encode(head + body) == h + b
            add([106])
            add(h)
            add(b + [107], on=True) if model else add(b + [107])
            add(NL, nl=model)
        last = [-100] * len(ids)
        if spans:
            last[spans[-1][0]:spans[-1][1]] = ids[spans[-1][0]:spans[-1][1]]
        lit = any("_of_turn>" in m["content"] for m in msgs)
        w = [2] + whole.encode(text.removeprefix("<bos>"))
        assert (w == ids) != lit, name
        assert not any(t in (0, 1, 3) for t in ids) and ids.count(107) == len(rest)
        ex.append({"name": name, "template": tmpl, "messages": msgs, "text": text, "ids": ids, "labels": lab, "labels_with_newline": lab_nl, "labels_last_turn": last,
                   "spans": spans, "targets": sum(x != -100 for x in lab[1:])})
    with open(os.path.join(d, "examples.jsonl"), "w") as f:
        for e in ex:
            f.write(json.dumps(e, ensure_ascii=False) + "\n")
    with open(os.path.join(d, "truncate.jsonl"), "w") as f:
        for e in ex:
            for n in (8, 12, 20, 32, 64):
                k = e["labels"][:n]
                left = sum(x != -100 for x in k[1:])
                f.write(json.dumps({"name": e["name"], "max_len": n, "length": min(n, len(e["ids"])), "targets": left, "dropped": left == 0}) + "\n")
    # packing: in the given order, a new row when the next one does not fit
    use = [e for e in ex if e["targets"]]
    n = max(len(e["ids"]) for e in use) + 20
    packs = [[]]
    for e in use:
        if sum(len(x["ids"]) for x in packs[-1]) + len(e["ids"]) > n:
            packs.append([])
        packs[-1].append(e)
    R = len(packs)
    ids, lab, full = torch.zeros(R, n, dtype=torch.long), torch.full((R, n), -100), torch.full((R, n), -100)
    pos, seg = torch.zeros(R, n, dtype=torch.long), torch.zeros(R, n, dtype=torch.long)
    for r, pk in enumerate(packs):
        k = 0
        for j, e in enumerate(pk):
            m = len(e["ids"])
            ids[r, k:k + m], lab[r, k:k + m] = torch.tensor(e["ids"]), torch.tensor(e["labels"])
            full[r, k:k + m] = torch.tensor(e["ids"])
            pos[r, k:k + m], seg[r, k:k + m] = torch.arange(m), j + 1
            k += m
        pos[r, k:] = torch.arange(n - k)
    bd = sub(d, "base")
    write_model(bd, DATA_BASE, seed + 70, mild=True)
    c, w = conf(bd), weights64(bd, False)
    ad = os.path.join(d, "adapter")
    pm = get_peft_model(load(bd), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, bias="none", **QV))
    randomise(pm, seed + 71)
    pm.save_pretrained(ad)
    tidy_adapter(ad, "../base")
    N = int((shifted(lab) != -100).sum())
    assert N == sum(e["targets"] for e in use)
    P, ac = start64(ad, w)
    w2, lora = attach(P, ac, w)
    lp = loss_of(forward(w2, c, ids, pos=pos, seg=seg, lora=lora), lab, N)
    lp.backward()
    packed = {k: p.grad.clone() for k, p in P.items()}
    P, ac = start64(ad, w)
    w2, lora = attach(P, ac, w)
    ls, each = 0.0, []
    for e in use:
        l = loss_of(forward(w2, c, torch.tensor([e["ids"]]), lora=lora), torch.tensor([e["labels"]]), N)
        l.backward()
        each.append(float(l) * N / e["targets"])
        ls += float(l)
    sep = {k: p.grad.clone() for k, p in P.items()}
    L = lambda lb, t=None, **k: float(loss_of(forward(w2, c, ids, lora=lora, **k), lb, t))
    bound = full.clone()
    bound[(pos == 0)] = -100
    wrong = {"attention_crosses": L(lab, pos=pos, seg=(seg > 0).long()) - float(lp), "positions_continue": L(lab, seg=seg) - float(lp),
             "both": L(lab, seg=(seg > 0).long()) - float(lp), "all_tokens_first_label_not_masked": L(full, pos=pos, seg=seg) - L(bound, pos=pos, seg=seg),
             "mean_of_rows": float(np.mean([float(loss_of(forward(w2, c, ids[r:r + 1], pos=pos[r:r + 1], seg=seg[r:r + 1], lora=lora), lab[r:r + 1])) for r in range(R)])) - float(lp),
             "mean_of_examples": float(np.mean(each)) - float(lp)}
    # float32: transformers finds the borders from position_ids alone
    pm = PeftModel.from_pretrained(load(bd), ad, is_trainable=True).train()
    o = pm(input_ids=ids, position_ids=pos, labels=lab, use_cache=False)
    o.loss.backward()
    g32 = {saved_name(k): p.grad for k, p in pm.named_parameters() if p.requires_grad}
    T = {"input_ids": ids.int(), "labels": lab.int(), "position_ids": pos.int(), "segment_ids": seg.int()}
    for k in packed:
        T["grad." + k] = f32(packed[k])
    save(os.path.join(d, "packing.safetensors"), T)
    info = {"max_len": n, "rows": [[e["name"] for e in pk] for pk in packs], "dropped": [e["name"] for e in ex if not e["targets"]], "targets": N, "loss_packed_f64": float(lp), "loss_separate_f64": ls,
            "loss_of_each_example_f64": {e["name"]: x for e, x in zip(use, each)}, "loss_all_tokens_f64": L(bound, pos=pos, seg=seg), "targets_all_tokens": int((shifted(bound) != -100).sum()),
            "packed_vs_separate": {"loss": sig(abs(float(lp) - ls)), "gradients_relative_to_largest": sig(max(rel(packed[k], sep[k]) for k in sep))},
            "transformers_f32_position_ids_only": {"loss_vs_f64": sig(abs(float(o.loss) - float(lp))), "gradients_relative_to_largest": sig(max(rel(g32[k], packed[k]) for k in packed))},
            "mistake_changes_loss_by": {k: sig(v) for k, v in wrong.items()}}
    dump(os.path.join(d, "packing.json"), info)
    OBS["data"] = {k: v for k, v in info.items() if k not in ("rows", "loss_of_each_example_f64")}
    OBS["data"]["examples"] = len(ex)
    print(OBS["data"])


SECTIONS = [("grad", section_grad), ("lora", section_lora), ("optim", section_optim), ("resume", section_resume), ("parallel", section_parallel), ("qlora", section_qlora), ("data", section_data)]


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--seed", type=int, default=20260301)
    ap.add_argument("--golden")  # default: the folder that OUT lies in
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    a.golden = a.golden or os.path.dirname(os.path.abspath(a.out))
    if not a.only:
        fresh(a.out)
    for name, f in SECTIONS:
        if not a.only or name in a.only.split(","):
            f(a.out, a.seed) if name != "data" else f(a.out, a.seed, a.golden)
    if not a.only:
        OBS["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__, "seed": a.seed}
        dump(os.path.join(a.out, "observed.json"), OBS)
    for r, _, fs in os.walk(a.out):
        for fn in fs:
            os.chmod(os.path.join(r, fn), 0o644)
