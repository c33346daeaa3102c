"""Compares exported models with what other programs compute from them.

usage: python check.py SYSTEMGEMMA MODEL... [--ids 2,10,20]

SYSTEMGEMMA is our binary; each MODEL is a GGUF file (read by llama.cpp) or a folder (read by transformers, with compressed-tensors
if its config says so). Our side computes with --preset exact. Reports the largest difference of logits and whether greedy ids agree;
for models with a tokenizer also whether the ids of some texts, and the rendered template, agree. Exit status 1 if a bound is passed.
"""
import argparse, json, os, subprocess, sys, tempfile
import numpy as np
from safetensors.numpy import load_file

TEXTS = ["Hello, world!", "  two  spaces\n\nand a tab\t.", "Ünïcödé 漢字 🙂", "<start_of_turn>user\nhi<end_of_turn>", "x = {1: 'a'}", "12345 67"]


def ours(binary, command, model, lines, *flags):
    r = subprocess.run([binary, command, "-m", model, *flags], input="".join(json.dumps(l) + "\n" for l in lines), capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{command} {model}: {r.stderr}")
    return [json.loads(l) for l in r.stdout.splitlines()]


def our_logits(binary, model, ids, *flags):
    with tempfile.TemporaryDirectory() as d:
        f = os.path.join(d, "l.safetensors")
        ours(binary, "score", model, [{"ids": ids}], "--logits", f, *flags)
        return load_file(f)["logits.0"]


class Llama:
    def __init__(self, path):
        import llama_cpp
        self.lib = llama_cpp
        self.m = llama_cpp.Llama(path, n_ctx=256, n_batch=256, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False, type_k=0, type_v=0)

    def logits(self, ids):
        self.m.reset()
        self.m.eval(ids)
        return np.array(self.m.scores[:len(ids)]).copy()

    def tokenize(self, text):
        return self.m.tokenize(text.encode(), add_bos=False, special=False)

    def has_tokenizer(self):
        return self.lib.llama_vocab_type(self.m._model.vocab) != 0


class Transformers:
    def __init__(self, path):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        self.torch = torch
        self.m = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.float32, attn_implementation="eager").eval()
        self.t = AutoTokenizer.from_pretrained(path) if os.path.exists(os.path.join(path, "tokenizer.json")) else None

    def logits(self, ids):
        with self.torch.no_grad():
            return self.m(self.torch.tensor([ids])).logits[0].float().numpy()

    def tokenize(self, text):
        return self.t.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def has_tokenizer(self):
        return self.t is not None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("binary")
    ap.add_argument("models", nargs="+")
    ap.add_argument("--ids", default="2,10,20,5,7,33,41,9,11,3,8,100,55,12,60,4")
    a = ap.parse_args()
    ids, bad = [int(i) for i in a.ids.split(",")], False
    for path in a.models:
        folder = os.path.isdir(path)
        int8 = folder and "quantization_config" in json.load(open(os.path.join(path, "config.json")))
        peer = (Transformers if folder else Llama)(path)
        want, got = peer.logits(ids), our_logits(a.binary, path, ids, "--preset", "exact")
        worst, same = float(np.abs(want - got).max()), float((want.argmax(-1) == got.argmax(-1)).mean())
        # transformers computes in float32: only rounding differs; int8 folders and llama.cpp round activations.
        fail = want.shape != got.shape or folder and not int8 and worst > 2e-3 or same < (0.75 if int8 or not folder else 1)
        line = f"{path}: {'transformers' if folder else 'llama.cpp'}: logits differ by {worst:.3g}, mean {np.abs(want - got).mean():.3g}, same best token {same:.3f}"
        if peer.has_tokenizer():
            special = folder
            mine = [x["ids"] for x in ours(a.binary, "tokenize", path, [{"text": t, "special": special} for t in TEXTS])]
            equal = [peer.tokenize(t) == m for t, m in zip(TEXTS, mine)]
            line += f"; ids of {sum(equal)}/{len(equal)} texts equal"
            fail |= not all(equal)
        if folder and peer.has_tokenizer() and peer.t.chat_template:
            messages = [{"role": "user", "content": "Hi there"}]
            theirs = peer.t.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            text = ours(a.binary, "template", path, [{"messages": messages, "add_generation_prompt": True}])[0]["text"]
            line += f"; template equal {theirs == text}"
            fail |= theirs != text
        print(line, "FAILED" if fail else "", flush=True)
        bad |= fail
    sys.exit(bad)


if __name__ == "__main__":
    main()
