"""lm-evaluation-harness against the server at COMPAT_URL, offline: two multiple-choice tasks and one of generation, made of a few lines.

Each log-likelihood that the harness got is compared with what `systemgemma score` (COMPAT_PROGRAM) says of the same ids; the tokenizer is
that of the folder COMPAT_TOKENIZER.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BASE, PROGRAM, TOKENIZER = (os.environ[k] for k in ("COMPAT_URL", "COMPAT_PROGRAM", "COMPAT_TOKENIZER"))

CHOICES = [
    {"q": "The capital of France is", "choices": ["Paris", "London", "a fish"], "gold": 0},
    {"q": "Ice is", "choices": ["hot", "cold", "a city in the far north of France"], "gold": 1},
    {"q": "Two and two make", "choices": ["four", "five"], "gold": 0},
]
TASK = """task: sg_choices
dataset_path: json
dataset_name: null
dataset_kwargs: {{data_files: {{validation: {data}}}}}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{{{q}}}}"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
GENERATE = """task: sg_generate
dataset_path: json
dataset_name: null
dataset_kwargs: {{data_files: {{validation: {data}}}}}
output_type: generate_until
validation_split: validation
doc_to_text: "{{{{q}}}} of?"
doc_to_target: "{{{{choices[0]}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 24, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


def evaluate(folder, model, task, extra, *more):
    out = folder / model
    args = [sys.executable, "-m", "lm_eval", "--model", model, "--tasks", task, "--include_path", str(folder), "--output_path", str(out), "--log_samples"]
    subprocess.run(args + ["--model_args", extra, *more], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
    (samples,) = glob.glob(str(out / "**" / f"samples_{task}_*.jsonl"), recursive=True)
    return [json.loads(line) for line in open(samples)]


def score(context, continuation):
    """What the program itself says of a continuation."""
    import transformers

    tok = transformers.AutoTokenizer.from_pretrained(TOKENIZER)
    whole = tok.encode(context + continuation, add_special_tokens=False)
    start = tok.encode(context, add_special_tokens=False)
    ids = [tok.bos_token_id] + whole
    said = subprocess.run([PROGRAM, "score"], input=json.dumps({"ids": ids}), check=True, capture_output=True, text=True)
    logprobs = json.loads(said.stdout)["logprobs"]
    return sum(logprobs[-(len(whole) - len(start)):])


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.jsonl"
        data.write_text("".join(json.dumps(c) + "\n" for c in CHOICES))
        (folder / "choices.yaml").write_text(TASK.format(data=data))
        (folder / "generate.yaml").write_text(GENERATE.format(data=data))
        url = f"model=mini,tokenizer={TOKENIZER},tokenizer_backend=huggingface,max_length=2048,num_concurrent=2,max_retries=1,base_url={BASE}/v1/"
        samples = evaluate(folder, "local-completions", "sg_choices", url + "completions,add_bos_token=True")
        assert len(samples) == len(CHOICES), samples
        compared = 0
        for s in samples:
            for (context, continuation), got in zip([(a["arg_0"], a["arg_1"]) for a in s["arguments"].values()], s["filtered_resps"]):
                want = score(context, continuation)
                assert abs(want - float(got[0])) < 1e-3, (context, continuation, got, want)
                compared += 1
        print(f"ok local-completions: {compared} log-likelihoods")
        samples = evaluate(folder, "local-chat-completions", "sg_generate", url + "chat/completions", "--apply_chat_template")
        assert len(samples) == len(CHOICES) and all(s["filtered_resps"][0] for s in samples), samples
        print("ok local-chat-completions")


if __name__ == "__main__":
    main()
