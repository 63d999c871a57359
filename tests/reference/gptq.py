"""Reference numbers for rounding weights: round to nearest and GPTQ, written out in double precision PyTorch.

A layer of 12 inputs and 5 outputs, inputs that are strongly correlated. Rounded weights of several grids and orders are
stored with the layer; `U` comes from an explicit inverse and `torch.linalg.cholesky`, not from the way of the zoo.

    python tests/reference/gptq.py        (torch 2.11.0, safetensors 0.8.0; CPU)
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

D_IN, D_OUT, ROWS, DAMPING = 12, 5, 64, 0.01


def scales(w, bits, group):
    """[out, in]: the scale of each weight; a group of 0 is the whole matrix."""
    levels = 2 ** (bits - 1) - 1
    if group == 0:
        return (w.abs().max() / levels).expand_as(w)
    parts = [part.abs().amax(1, keepdim=True).expand_as(part) / levels for part in w.split(group, 1)]
    return torch.cat(parts, 1)


def nearest(w, scale, bits):
    levels = 2 ** (bits - 1) - 1
    return (w / scale).round().clamp(-levels, levels) * scale


def gptq(w, x, bits, group, by_activation):
    scale = scales(w, bits, group)
    hessian = x.T @ x
    order = torch.argsort(hessian.diag(), descending=True) if by_activation else torch.arange(D_IN)
    hessian = hessian[order][:, order] + DAMPING * hessian.diag().mean() * torch.eye(D_IN)
    root = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    rest, scale, rounded = w[:, order].clone(), scale[:, order], torch.zeros_like(w)
    for i in range(D_IN):
        rounded[:, i] = nearest(rest[:, i], scale[:, i], bits)
        error = (rest[:, i] - rounded[:, i]) / root[i, i]
        rest[:, i:] -= error[:, None] * root[i, i:][None]
    return rounded[:, torch.argsort(order)]


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    w = torch.randn(D_OUT, D_IN).float().double()
    mix = torch.randn(D_IN, D_IN) * torch.linspace(0.2, 3.0, D_IN)
    x = (torch.randn(ROWS, 4) @ torch.randn(4, D_IN) @ mix + 0.3 * torch.randn(ROWS, D_IN)).float().double()
    tensors = {"w": w, "x": x}
    for bits, group in [(8, 0), (4, D_IN), (3, 5), (2, 4)]:
        tensors[f"rtn.{bits}.{group}"] = nearest(w, scales(w, bits, group), bits)
        tensors[f"gptq.{bits}.{group}.stored"] = gptq(w, x, bits, group, False)
        tensors[f"gptq.{bits}.{group}.activation"] = gptq(w, x, bits, group, True)
    tensors = {name: value.float().contiguous() for name, value in tensors.items()}
    save_file(tensors, Path(__file__).parent / "gptq.safetensors", metadata={"format": "pt"})


main()
