"""Reference numbers for the decoder and the optimizer, made by PyTorch.

Builds two tiny models from plain PyTorch operations (a GPT-2 with rotary positions, a Llama with grouped heads), with
weights named as in the zoo, takes three AdamW steps, and stores the weights before, the losses of every token at each
step, the norm of the gradients, and the weights after.

    python tests/reference/decoder.py        (torch 2.11.0, safetensors 0.8.0; CPU, float32)
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

B, T, V, D, LAYERS, HEADS = 2, 6, 11, 16, 2, 4
STEPS, LR, CLIP = 3, 1e-2, 1.0


def weight(*shape):
    return torch.randn(*shape) * 0.2


def linear(weights, name, d_in, d_out, bias):
    weights[f"{name}.weight"] = weight(d_in, d_out)
    if bias:
        weights[f"{name}.bias"] = weight(d_out)


def norm(weights, name, kind):
    weights[f"{name}.gamma"] = 1 + weight(D)
    if kind == "layer":
        weights[f"{name}.beta"] = weight(D)


def build(kind):
    torch.manual_seed(0)
    gpt2 = kind == "gpt2"
    kv = HEADS if gpt2 else 2
    w = {"embedding.weight": weight(V, D)}
    for i in range(LAYERS):
        block = f"blocks.{i}"
        norm(w, f"{block}.mixer_norm", "layer" if gpt2 else "rms")
        linear(w, f"{block}.mixer.qkv", D, (HEADS + 2 * kv) * D // HEADS, gpt2)
        linear(w, f"{block}.mixer.out", D, D, gpt2)
        norm(w, f"{block}.feed_forward_norm", "layer" if gpt2 else "rms")
        if gpt2:
            linear(w, f"{block}.feed_forward.up", D, 4 * D, True)
            linear(w, f"{block}.feed_forward.down", 4 * D, D, True)
        else:
            hidden = round(8 / 3 * D)
            linear(w, f"{block}.feed_forward.gate", D, hidden, False)
            linear(w, f"{block}.feed_forward.up", D, hidden, False)
            linear(w, f"{block}.feed_forward.down", hidden, D, False)
    norm(w, "norm", "layer" if gpt2 else "rms")
    if not gpt2:
        w["head.weight"] = weight(V, D)
    return w


def apply_norm(w, name, x):
    if f"{name}.beta" in w:
        return F.layer_norm(x, (D,), w[f"{name}.gamma"], w[f"{name}.beta"], 1e-5)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * w[f"{name}.gamma"]


def apply_linear(w, name, x):
    y = x @ w[f"{name}.weight"]
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def rotate(x, share):
    k = x.shape[-1]
    r = int(share * k)
    angle = torch.arange(T)[:, None] * 10000.0 ** (-torch.arange(0, r, 2) / r)[None, :]
    cos, sin = angle.cos(), angle.sin()
    a, b, rest = x[..., : r // 2], x[..., r // 2 : r], x[..., r:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def attention(w, name, x, kv, share):
    k = D // HEADS
    q, key, v = apply_linear(w, f"{name}.qkv", x).split([D, kv * k, kv * k], -1)
    heads = lambda t, n: t.view(B, T, n, k).transpose(1, 2)
    q, key = rotate(heads(q, HEADS), share), rotate(heads(key, kv), share)
    key, v = (t.repeat_interleave(HEADS // kv, 1) for t in (key, heads(v, kv)))
    y = F.scaled_dot_product_attention(q, key, v, is_causal=True)
    return apply_linear(w, f"{name}.out", y.transpose(1, 2).reshape(B, T, D))


def feed_forward(w, name, x):
    up = apply_linear(w, f"{name}.up", x)
    if f"{name}.gate.weight" in w:
        hidden = F.silu(apply_linear(w, f"{name}.gate", x)) * up
    else:
        hidden = F.gelu(up)
    return apply_linear(w, f"{name}.down", hidden)


def losses(w, kind, tokens, targets):
    kv, share = (HEADS, 0.5) if kind == "gpt2" else (2, 1.0)
    x = w["embedding.weight"][tokens]
    for i in range(LAYERS):
        block = f"blocks.{i}"
        x = x + attention(w, f"{block}.mixer", apply_norm(w, f"{block}.mixer_norm", x), kv, share)
        x = x + feed_forward(w, f"{block}.feed_forward", apply_norm(w, f"{block}.feed_forward_norm", x))
    logits = apply_norm(w, "norm", x) @ w.get("head.weight", w["embedding.weight"]).T
    return F.cross_entropy(logits.view(-1, V), targets.view(-1), reduction="none")


def main():
    for kind in ["gpt2", "llama"]:
        w = {name: tensor.requires_grad_() for name, tensor in build(kind).items()}
        tokens = torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(1))
        targets = torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(2))
        out = {f"before.{name}": tensor.detach().clone() for name, tensor in w.items()}
        out["tokens"], out["targets"] = tokens.float(), targets.float()
        matrices = [t for t in w.values() if t.dim() > 1]
        vectors = [t for t in w.values() if t.dim() == 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = losses(w, kind, tokens, targets)
            out[f"losses.{step}"] = loss.detach()
            loss.mean().backward()
            out[f"grad_norm.{step}"] = torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP).reshape(1)
            optimizer.step()
        out |= {f"after.{name}": tensor.detach() for name, tensor in w.items()}
        path = Path(__file__).with_name(f"decoder-{kind}.safetensors")
        save_file({name: tensor.contiguous() for name, tensor in out.items()}, path)
        print(path.name, [round(out[f"losses.{s}"].mean().item(), 6) for s in range(STEPS)])


main()
