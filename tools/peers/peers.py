#!/usr/bin/env python3
"""Runs our bench and the rivals in turns, on the same weights and in one process tree, and prints ratios with their spread.

    tools/peers/setup.sh VENV
    VENV/bin/python tools/peers/peers.py all --shape 2b --work FOLDER      # may be stopped and started again
    VENV/bin/python tools/peers/peers.py clean --work FOLDER

A turn is one engine in a fresh process; a repetition is a turn of each engine. Before each turn the machine must be quiet, and a turn
during which other processes took more than 6 % of a core is done again. Results are kept in FOLDER/SHAPE/results.jsonl; another
build of ours, other tests, another virtual environment or other variables of an engine begin anew. Models are made once; a build of ours
that makes other synthetic weights refuses to use them.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUIET = 0.06  # of a core, by other processes
PATIENCE = 3600  # seconds to wait for quiet
TRIES = 3  # turns that were disturbed
ENVIRONMENT = ("SYSTEMGEMMA_", "ONEDNN_", "CT2_", "GGML_", "OMP_")  # variables that change what engines do

# Engine: (rival's class in engines.py, its model, our type of weights that it is compared with).
RIVALS = {
    "openvino-int8": ("openvino", "openvino-int8", "w8a8"),
    "openvino-int8-default": ("openvino-default", "openvino-int8", "w8a8"),
    "ctranslate2-int8": ("ctranslate2", "ctranslate2-int8", "w8a8"),
    "openvino-int4": ("openvino", "openvino-int4", "q4_0"),
    "llamacpp-q8_0": ("llamacpp", "q8_0.gguf", "q8_0"),
    "llamacpp-q8_0-w8a8": ("llamacpp", "q8_0.gguf", "w8a8"),  # llama.cpp has nothing nearer to w8a8
    "llamacpp-q4_0": ("llamacpp", "q4_0.gguf", "q4_0"),
    "llamacpp-bf16": ("llamacpp", "bf16.gguf", "bf16"),
}


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


# --- models -----------------------------------------------------------------------------------------------------------------------


def gigabytes(shape):
    """What all files of a shape take while they are made, in GB."""
    return {"tiny": 1, "2b": 24, "9b": 80, "27b": 230}[shape]


def call(command, **kwargs):
    say(" ".join(str(c) for c in command))
    subprocess.run([str(c) for c in command], check=True, **kwargs)


def whole(path, make):
    """Makes a file or folder under another name first, so that what has its name is whole."""
    if path.exists():
        return
    part = path.with_name(path.name + ".making")
    shutil.rmtree(part, ignore_errors=True)
    part.unlink(missing_ok=True)
    make(part)
    part.rename(path)


def same_weights(write, folder):
    """Ends the program where models hold other synthetic weights than those of this build, told by those of the smallest shape."""
    tiny, kept = folder / "tiny.gguf", folder / "weights.sha256"
    call([write, "-shape", "tiny", "-format", "gguf-bf16", tiny])
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    tiny.unlink()
    held = any((folder / model).exists() for _, model, _ in RIVALS.values())
    if held and (not kept.exists() or kept.read_text(encoding="utf-8").strip() != digest):
        sys.exit(f"peers: {folder} holds models with the synthetic weights of another build: peers.py clean, then start again")
    kept.write_text(digest + "\n", encoding="utf-8")


def prepare(args, folder):
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {RIVALS[name][1] for name in args.rivals}
    missing = [name for name in wanted if not (folder / name).exists()]
    free = shutil.disk_usage(folder).free / 1e9
    if missing and free < gigabytes(args.shape):
        sys.exit(f"peers: want {gigabytes(args.shape)} GB free in {folder}, found {free:.1f}")
    root, scripts = HERE.parent.parent, Path(sys.executable).parent
    call(["go", "build", "-o", folder / "systemgemma", "./cmd/systemgemma"], cwd=root)
    call(["go", "build", "-o", folder / "write", "./tools/peers/write"], cwd=root)
    same_weights(folder / "write", folder)
    write = [folder / "write", "-shape", args.shape]
    hugging = folder / "hf"
    for name in sorted(missing):
        if name.endswith(".gguf"):
            whole(folder / name, lambda part: call([*write, "-format", "gguf-" + name.removesuffix(".gguf"), part]))
            continue
        whole(hugging, lambda part: call([*write, "-format", "hf", part]))
        if name.startswith("openvino-"):
            export = [scripts / "optimum-cli", "export", "openvino", "--model", hugging, "--task", "text-generation-with-past"]
            whole(folder / name, lambda part: call([*export, "--weight-format", name.removeprefix("openvino-"), part]))
        else:
            convert = [scripts / "ct2-transformers-converter", "--model", hugging, "--quantization", "int8", "--low_cpu_mem_usage"]
            whole(folder / name, lambda part: call([*convert, "--output_dir", part]))
    shutil.rmtree(hugging, ignore_errors=True)


# --- quiet ------------------------------------------------------------------------------------------------------------------------


def busy():
    """CPU seconds of all processes since boot, time stolen by the host included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own():
    """CPU seconds of this process and of its children that have ended."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in usages)


class Busy:
    """Processes that do nothing, as fast as they can, for as long as it is entered."""

    def __init__(self, count):
        self.count, self.processes = count, []

    def __enter__(self):
        self.processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.count)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()  # their time is then among that of this process's children


class Others:
    """The share of a core that other processes took since it was made."""

    def __init__(self):
        self.time, self.busy, self.own = time.monotonic(), busy(), own()

    def share(self):
        return max(0.0, (busy() - self.busy) - (own() - self.own)) / (time.monotonic() - self.time)


def wait_for_quiet():
    start, told = time.monotonic(), False
    while True:
        others = Others()
        time.sleep(2)
        share = others.share()
        if share < QUIET:
            return
        if not told:
            say(f"waiting for quiet: other processes take {share:.0%} of a core")
            told = True
        if time.monotonic() - start > PATIENCE:
            sys.exit("peers: the machine was not quiet for an hour; start again later, what was measured is kept")


# --- turns ------------------------------------------------------------------------------------------------------------------------


def our_turn(args, folder, typ):
    """Our bench, twice: its tests are a cross product. It reads the rival's file where it can, since rounding to 4 bits takes minutes."""
    file = folder / f"{typ}.gguf"
    model = ["--model", file] if file.exists() else ["--synthetic", args.shape, "--type", typ]
    command = [folder / "systemgemma", "bench", *model, "--threads", args.threads, "--repeat", 1, "--json", *args.ours]
    lists = [
        ["--prefill", ",".join(map(str, args.prefill)), "--decode", 0, "--depth", 0],
        ["--prefill", 0, "--decode", args.decode, "--depth", ",".join(map(str, args.depth))],
    ]
    lines = []
    for flags in lists:
        output = subprocess.run([str(c) for c in command + flags], check=True, capture_output=True, text=True).stdout
        lines += [json.loads(line) for line in output.splitlines()]
    return [line for line in lines if line["test"] in ("prefill", "decode", "memory", "read_weights", "read_bandwidth", "int8_peak")]


def rival_turn(args, folder, rival):
    engine, model, _ = RIVALS[rival]
    tests = [["prefill", n, 0] for n in args.prefill] + [["decode", args.decode, d] for d in args.depth]
    command = [sys.executable, HERE / "engines.py", engine, folder / model, args.threads, json.dumps(tests)]
    output = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def turns(args):
    """The engines of a repetition: our types beside the rivals that they are compared with."""
    names = []
    for rival in args.rivals:
        ours = "ours-" + RIVALS[rival][2]
        names += [ours, rival] if ours not in names else [rival]
    return names


def turn(args, folder, name):
    if name.startswith("ours-"):
        return our_turn(args, folder, name.removeprefix("ours-"))
    return rival_turn(args, folder, name)


def setting_of(args, folder):
    """What must be the same for results to stand side by side."""
    build = hashlib.sha256((folder / "systemgemma").read_bytes()).hexdigest()[:12]
    limits = {name: value for name, value in sorted(os.environ.items()) if name.startswith(ENVIRONMENT)}
    return [build, args.ours, args.threads, args.prefill, args.decode, args.depth, args.busy, sys.prefix, limits]


def run(args, folder):
    path = folder / "results.jsonl"
    setting = setting_of(args, folder)
    done = {(r["engine"], r["repetition"]) for r in results(path, setting)}
    for repetition in range(args.repetitions):
        names = turns(args)
        if repetition % 2:  # so that none always follows the same one
            names.reverse()
        for name in names:
            if (name, repetition) in done:
                continue
            for attempt in range(TRIES):
                wait_for_quiet()
                others = Others()
                try:
                    with Busy(args.busy):
                        lines = turn(args, folder, name)
                except subprocess.CalledProcessError as e:
                    sys.exit(f"peers: {name} failed: {e}\n{e.stderr}")
                share = others.share()
                say(f"repetition {repetition + 1}, {name}: others took {share:.1%} of a core")
                if share < QUIET or args.loaded:
                    break
            record = {"engine": name, "repetition": repetition, "setting": setting, "others": share, "quiet": share < QUIET, "results": lines}
            with path.open("a", encoding="utf-8") as f:
                f.write(json.dumps(record) + "\n")


def results(path, setting):
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the last line of a run that was stopped
        if record["setting"] == setting:
            records.append(record)
    return records


# --- report -----------------------------------------------------------------------------------------------------------------------


def spread(values, digits):
    return " / ".join(f"{v:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))


def table(records):
    """{engine: {(test, tokens, depth): {repetition: tokens per second}}}"""
    rates = {}
    for record in records:
        for line in record["results"]:
            if line["test"] in ("prefill", "decode"):
                key = line["test"], line["tokens"], line["depth"]
                rates.setdefault(record["engine"], {}).setdefault(key, {})[record["repetition"]] = line["tok_s"]["median"]
    return rates


def report(args, folder):
    names = turns(args)
    records = [r for r in results(folder / "results.jsonl", setting_of(args, folder)) if r["engine"] in names]
    disturbed = sum(not r["quiet"] for r in records)
    if not args.loaded:
        records = [r for r in records if r["quiet"]]
    rates = table(records)
    print(f"{args.shape}, {args.threads} threads, {args.busy} busy processes beside them; min / median / max; {len(records)} turns, {disturbed} disturbed")
    print(f"{'engine':24} {'test':24} {'tokens/s':>26} {'ours by it, same turn':>24} repetitions")
    for engine in names:
        for key, values in rates.get(engine, {}).items():
            name = f"{key[0]} {key[1]} at {key[2]}"
            ratio = ""
            if not engine.startswith("ours-"):
                ours = rates.get("ours-" + RIVALS[engine][2], {}).get(key, {})
                pairs = [ours[i] / v for i, v in values.items() if i in ours]
                ratio = spread(pairs, 2) if pairs else ""
            print(f"{engine:24} {name:24} {spread(list(values.values()), 1):>26} {ratio:>24} {len(values)}")


def numbers(text):
    return [int(n) for n in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["all", "prepare", "run", "report", "clean"])
    parser.add_argument("--shape", choices=["tiny", "2b", "9b", "27b"], default="2b")
    parser.add_argument("--work", type=Path, required=True, help="folder for models (24 GB for 2b) and results")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--prefill", type=numbers, default=[128, 512])
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--depth", type=numbers, default=[128], help="of decoding, such as 128,4096")
    parser.add_argument("--busy", type=int, default=0, help="other processes that take what they get of the processors meanwhile")
    parser.add_argument("--rivals", type=lambda s: s.split(","), default=["openvino-int8", "ctranslate2-int8", "llamacpp-q8_0", "llamacpp-q4_0", "llamacpp-bf16"],
                        help="of " + ", ".join(RIVALS))
    parser.add_argument("--ours", type=str.split, default=[], help="more flags of our bench, such as --ours='--kv-type int8'")
    parser.add_argument("--loaded", action="store_true", help="count disturbed turns too: to try the script out, not to measure")
    args = parser.parse_args()
    if unknown := set(args.rivals) - set(RIVALS):
        parser.error(f"--rivals: want some of {', '.join(RIVALS)}, found {', '.join(sorted(unknown))}")
    folder = args.work / args.shape
    if args.loaded:
        globals()["QUIET"] = 1e9
    if args.command in ("all", "prepare"):
        prepare(args, folder)
    if args.command in ("all", "run"):
        run(args, folder)
    if args.command in ("all", "report"):
        report(args, folder)
    if args.command == "clean":
        for path in folder.iterdir():
            if path.name != "results.jsonl":
                shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
