"""Training speed of the zoo and of PyTorch, interleaved, on all cores of this machine.

    python benches/pytorch/compare.py [--zoo target/release/zoo] [--shapes Q P S M L] [--pairs 5] [--seconds 3]

Each side may use one process on all cores or one process per core, whichever is better. Prints the medians over the
pairs and the median of the ratios, as a Markdown table.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
CORES = os.cpu_count()


def together(commands):
    """Runs commands at once; the sum of their tokens per second and the largest memory."""
    children = [
        subprocess.Popen(command, env=os.environ | env, stdout=subprocess.PIPE) for command, env in commands
    ]
    lines = [json.loads(child.communicate()[0]) for child in children]
    return sum(line["tokens_per_second"] for line in lines), max(line["peak_bytes"] for line in lines)


def zoo(args, shape, threads, processes):
    command = [args.zoo, "bench", "--single", "--shape", shape, "--seconds", str(args.seconds)]
    return together([(command, {"RAYON_NUM_THREADS": str(threads)})] * processes)


def torch(args, shape, threads, processes):
    command = [sys.executable, str(HERE / "bench.py"), "--shape", shape]
    command += ["--threads", str(threads), "--seconds", str(args.seconds)] + ["--compile"] * args.compile
    return together([(command, {"OMP_NUM_THREADS": str(threads)})] * processes)


def best(side, args, shape):
    return max(side(args, shape, CORES, 1), side(args, shape, 1, CORES))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--zoo", default="target/release/zoo")
    parser.add_argument("--shapes", nargs="+", default=["Q", "P", "S", "M", "L"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    args = parser.parse_args()
    print(f"{CORES} cores, medians of {args.pairs} interleaved pairs; tokens/s on all cores, peak memory of a process")
    print("| shape | zoo | PyTorch | ratio | zoo memory | PyTorch memory |")
    print("|---|---:|---:|---:|---:|---:|")
    for shape in args.shapes:
        pairs = [(best(zoo, args, shape), best(torch, args, shape)) for _ in range(args.pairs)]
        ours, theirs = (median(pair[side][0] for pair in pairs) for side in (0, 1))
        ratio = median(pair[0][0] / pair[1][0] for pair in pairs)
        memory = [median(pair[side][1] for pair in pairs) / 2**20 for side in (0, 1)]
        print(
            f"| {shape} | {ours:,.0f} | {theirs:,.0f} | {ratio:.2f} | {memory[0]:.0f} MiB | {memory[1]:.0f} MiB |",
            flush=True,
        )


main()
