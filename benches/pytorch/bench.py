"""Tokens per second of a full training step of the twin model, as JSON on one line.

    python benches/pytorch/bench.py --shape S --threads 1 [--compile] [--seconds 5]
    python benches/pytorch/bench.py --shape G --rows 96 --device cuda --dtype bf16 --compile
"""

import argparse
import contextlib
import json
import resource
import time

import torch

from decoder import SHAPES, Decoder, optimizer, step

READ_EVERY = 16  # a loss that is read stops a card; the zoo reads as seldom

parser = argparse.ArgumentParser()
parser.add_argument("--shape", choices=SHAPES, default="S")
parser.add_argument("--rows", type=int, help="in a step, in place of the shape's")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=5)
parser.add_argument("--device", default="cpu")
parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
parser.add_argument("--compile", action="store_true")
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
d, layers, heads, vocabulary, t, b = SHAPES[args.shape]
b = args.rows or b
is_card = args.device != "cpu"
model = Decoder(d, layers, heads, vocabulary, t).to(args.device)
run = torch.compile(model) if args.compile else model
adamw = optimizer(model)
batches = [torch.randint(0, vocabulary, (2, b, t)).to(args.device) for _ in range(4)]
kind = torch.device(args.device).type
cast = torch.autocast(kind, torch.bfloat16) if args.dtype == "bf16" else contextlib.nullcontext()
for i in range(4):
    step(run, adamw, *batches[i % 4], cast).item()
done, start = 0, time.perf_counter()
while time.perf_counter() - start < args.seconds:
    loss = step(run, adamw, *batches[done % 4], cast)
    done += 1
    if not is_card or done % READ_EVERY == 0:
        loss.item()
loss.item()
seconds = time.perf_counter() - start
print(
    json.dumps(
        {
            "program": f"torch {torch.__version__}" + (" compile" if args.compile else " eager"),
            "shape": args.shape,
            "device": torch.cuda.get_device_name() if kind == "cuda" else args.device,
            "dtype": args.dtype,
            "threads": args.threads,
            "tokens_per_second": done * b * t / seconds,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    )
)
