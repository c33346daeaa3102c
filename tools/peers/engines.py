"""The rivals, one function each: load a converted model, run one test, give tokens per second.

A worker process runs one engine: `python engines.py ENGINE MODEL THREADS TESTS`, TESTS as JSON [[test, tokens, depth], ...]. It prints
one JSON line a test, with the fields of `systemgemma bench --json`. Each test runs once unmeasured, then once measured.
"""

import json
import random
import sys
import time


def ids(n, seed):
    """n random token ids beyond the special ones and the bytes."""
    r = random.Random(seed)
    return [2] + [r.randrange(512, 8192) for _ in range(n - 1)]


class OpenVINO:
    """OpenVINO GenAI; activations are rounded to int8 per token when the group covers the whole row."""

    def __init__(self, model, threads, group=2304):
        import numpy
        import openvino
        import openvino_genai

        self.genai, self.ov, self.numpy = openvino_genai, openvino, numpy
        self.pipe = openvino_genai.LLMPipeline(
            model, "CPU", INFERENCE_NUM_THREADS=threads, DYNAMIC_QUANTIZATION_GROUP_SIZE=group
        )

    def generate(self, prompt, n):
        config = self.genai.GenerationConfig()
        config.max_new_tokens, config.min_new_tokens, config.ignore_eos, config.do_sample = n, n, True, False
        tensor = self.ov.Tensor(self.numpy.array([prompt], dtype="int64"))
        return self.pipe.generate(tensor, config).perf_metrics

    def prefill(self, n, depth, seed):
        if depth:
            raise ValueError("OpenVINO GenAI has no prefill at a depth")
        metrics = self.generate(ids(n, seed), 1)
        return n / (metrics.get_ttft().mean / 1000)

    def decode(self, n, depth, seed):
        metrics = self.generate(ids(max(depth, 1), seed), n + 1)
        return 1000 / metrics.get_tpot().mean


class CTranslate2:
    """CTranslate2; times are differences of whole calls, since it tells none."""

    def __init__(self, model, threads):
        import ctranslate2

        self.generator = ctranslate2.Generator(model, device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads)
        with open(model + "/vocabulary.json", encoding="utf-8") as f:
            self.vocabulary = json.load(f)

    def seconds(self, prompt, n):
        tokens = [self.vocabulary[i] for i in prompt]
        start = time.perf_counter()
        result = self.generator.generate_batch([tokens], max_length=n, min_length=n, sampling_topk=1, include_prompt_in_result=False)
        elapsed = time.perf_counter() - start
        assert len(result[0].sequences_ids[0]) == n
        return elapsed

    def prefill(self, n, depth, seed):
        if depth:
            raise ValueError("CTranslate2 has no prefill at a depth")
        return n / self.seconds(ids(n, seed), 1)

    def decode(self, n, depth, seed):
        prompt = ids(max(depth, 1), seed)
        first = self.seconds(prompt, 1)
        return n / (self.seconds(prompt, n + 1) - first)


class LlamaCpp:
    """llama.cpp by llama-cpp-python; greedy choice in numpy."""

    def __init__(self, model, threads):
        import llama_cpp
        import numpy

        self.numpy, self.api = numpy, llama_cpp
        self.llama = llama_cpp.Llama(
            model, n_ctx=8192, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, flash_attn=True, verbose=False
        )

    def prefill(self, n, depth, seed):
        prompt = ids(depth + n, seed)
        self.llama.reset()
        if depth:
            self.llama.eval(prompt[:depth])
        start = time.perf_counter()
        self.llama.eval(prompt[depth:])
        self.choose()
        return n / (time.perf_counter() - start)

    def decode(self, n, depth, seed):
        prompt = ids(depth + n, seed)
        self.llama.reset()
        if depth:
            self.llama.eval(prompt[:depth])
        start = time.perf_counter()
        for token in prompt[depth:]:
            self.llama.eval([token])
            self.choose()
        return n / (time.perf_counter() - start)

    def choose(self):
        logits = self.api.llama_get_logits_ith(self.llama.ctx, -1)  # waits until they are there
        return int(self.numpy.ctypeslib.as_array(logits, shape=(self.llama.n_vocab(),)).argmax())


ENGINES = {"openvino": OpenVINO, "openvino-default": lambda m, t: OpenVINO(m, t, 32), "ctranslate2": CTranslate2, "llamacpp": LlamaCpp}


def main():
    engine, model, threads, tests = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    worker = ENGINES[engine](model, threads)
    for test, tokens, depth in tests:
        run = getattr(worker, test)
        run(tokens, depth, 1)  # warms up; another prompt, so that no prefix cache helps
        rate = run(tokens, depth, 2)
        value = {"min": rate, "median": rate, "max": rate}
        print(json.dumps({"test": test, "tokens": tokens, "depth": depth, "threads": threads, "tok_s": value}), flush=True)


if __name__ == "__main__":
    main()
