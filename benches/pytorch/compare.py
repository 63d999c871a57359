"""Training speed of the zoo and of PyTorch, interleaved.

    python benches/pytorch/compare.py [--zoo target/release/zoo] [--shapes Q P S M L] [--pairs 5] [--seconds 3]
    python benches/pytorch/compare.py --device cuda:0 --dtype bf16 --compile --shapes P G H --processes 1 4 --seconds 30

On the CPU each side takes all cores, as one process or as one per core, whichever is better. On a card as many processes
at once as `--processes` says, each number a row; they all compile first, so give them seconds enough to overlap. Prints
the medians over the pairs and the median of the ratios, as a Markdown table. Memory is that of a process on the CPU, and
what all processes take on the card, by nvidia-smi.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
CORES = os.cpu_count()


class CardMemory:
    """The most memory that a card has in use from here on, over what it had."""

    ASK = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]

    def __init__(self, device):
        self.card = ["-i", device.split(":")[1] if ":" in device else "0"]
        self.before = self.most = self.now()
        self.done = threading.Event()
        self.watch = threading.Thread(target=self.look)
        self.watch.start()

    def now(self):
        return int(subprocess.check_output(self.ASK + self.card)) * 2**20

    def look(self):
        while not self.done.wait(0.2):
            self.most = max(self.most, self.now())

    def end(self):
        self.done.set()
        self.watch.join()
        return self.most - self.before


def together(args, commands):
    """Runs commands at once; the sum of their tokens per second and the largest memory."""
    card = CardMemory(args.device) if args.device.startswith("cuda") else None
    children = [
        subprocess.Popen(command, env=os.environ | env, stdout=subprocess.PIPE) for command, env in commands
    ]
    answers = [child.communicate()[0] for child in children]
    on_card = card.end() if card else None
    lines = [json.loads(answer) for answer in answers]
    memory = on_card if card else max(line["peak_bytes"] for line in lines)
    return sum(line["tokens_per_second"] for line in lines), memory


def shared(args, shape):
    rows = ["--rows", str(args.rows)] if args.rows else []
    return ["--shape", shape, "--seconds", str(args.seconds), "--dtype", args.dtype] + rows


def zoo(args, shape, threads, processes):
    command = [args.zoo, "bench", "--single", "--device", args.device] + shared(args, shape)
    return together(args, [(command, {"RAYON_NUM_THREADS": str(threads)})] * processes)


def torch(args, shape, threads, processes):
    kind, _, number = args.device.partition(":")
    device = "cpu" if kind == "cpu" else f"cuda:{number or 0}"
    command = [sys.executable, str(HERE / "bench.py"), "--device", device] + shared(args, shape)
    command += ["--threads", str(threads)] + ["--compile"] * args.compile
    return together(args, [(command, {"OMP_NUM_THREADS": str(threads)})] * processes)


def measure(side, args, shape, processes):
    if args.device == "cpu":
        return max(side(args, shape, CORES, 1), side(args, shape, 1, CORES))
    return side(args, shape, max(CORES // processes, 1), processes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--zoo", default="target/release/zoo")
    parser.add_argument("--shapes", nargs="+", default=["Q", "P", "S", "M", "L"])
    parser.add_argument("--rows", type=int, help="in a step, in place of each shape's")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--device", default="cpu", help="the zoo's name of it; PyTorch takes the CPU or CUDA")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--processes", nargs="+", type=int, default=[1], help="at once, on a card")
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    args = parser.parse_args()
    where = f"{CORES} cores" if args.device == "cpu" else args.device
    print(f"{where}, {args.dtype}, medians of {args.pairs} interleaved pairs; tokens/s of all processes, peak memory")
    print("| shape | processes | zoo | PyTorch | ratio | zoo memory | PyTorch memory |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for shape, processes in ((shape, count) for shape in args.shapes for count in args.processes):
        pairs = [[measure(side, args, shape, processes) for side in (zoo, torch)] for _ in range(args.pairs)]
        ours, theirs = (median(pair[side][0] for pair in pairs) for side in (0, 1))
        ratio = median(pair[0][0] / pair[1][0] for pair in pairs)
        memory = [median(pair[side][1] for pair in pairs) / 2**20 for side in (0, 1)]
        count = "1 or one a core" if args.device == "cpu" else processes
        print(
            f"| {shape} | {count} | {ours:,.0f} | {theirs:,.0f} | {ratio:.2f} "
            f"| {memory[0]:.0f} MiB | {memory[1]:.0f} MiB |",
            flush=True,
        )


main()
