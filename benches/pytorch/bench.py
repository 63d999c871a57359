"""Tokens per second of a full training step of the twin model, as JSON on one line.

    python benches/pytorch/bench.py --shape S --threads 1 [--compile] [--seconds 5]
"""

import argparse
import json
import resource
import time

import torch

from decoder import SHAPES, Decoder, optimizer, step

parser = argparse.ArgumentParser()
parser.add_argument("--shape", choices=SHAPES, default="S")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=5)
parser.add_argument("--compile", action="store_true")
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
d, layers, heads, vocabulary, t, b = SHAPES[args.shape]
model = Decoder(d, layers, heads, vocabulary, t)
run = torch.compile(model) if args.compile else model
adamw = optimizer(model)
batches = [torch.randint(0, vocabulary, (2, b, t)) for _ in range(4)]
for i in range(4):
    step(run, adamw, *batches[i % 4]).item()
done, start = 0, time.perf_counter()
while time.perf_counter() - start < args.seconds:
    step(run, adamw, *batches[done % 4]).item()
    done += 1
seconds = time.perf_counter() - start
print(
    json.dumps(
        {
            "program": f"torch {torch.__version__}" + (" compile" if args.compile else " eager"),
            "shape": args.shape,
            "threads": args.threads,
            "tokens_per_second": done * b * t / seconds,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
