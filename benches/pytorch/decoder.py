"""The `gpt2` preset of the zoo in PyTorch: pre-norm LayerNorm, rotary positions on a quarter of each head, causal
attention through scaled_dot_product_attention, GELU MLP, offsets everywhere, tied head, float32.

Weights have the zoo's names and orientation, so that both programs can start from one safetensors file.
"""

import contextlib

import torch
import torch.nn as nn
import torch.nn.functional as F

SHAPES = {  # d, layers, heads, vocabulary, row length, rows: the same table as src/measure/speed.rs
    "Q": (64, 2, 2, 261, 16, 16),
    "P": (128, 2, 2, 3275, 512, 12),
    "S": (64, 2, 4, 1024, 128, 16),
    "M": (128, 4, 4, 2048, 256, 8),
    "L": (256, 6, 8, 8192, 512, 8),
    "G": (768, 12, 12, 3275, 512, 12),
    "H": (768, 12, 12, 50257, 1024, 8),
}


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.mixer_norm, self.feed_forward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x, cos, sin, heads):
        b, t, d = x.shape
        q, k, v = self.qkv(self.mixer_norm(x)).view(b, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class Decoder(nn.Module):
    def __init__(self, d, layers, heads, vocabulary, t):
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(vocabulary, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(layers))
        self.norm = nn.LayerNorm(d)
        r = d // heads // 4 // 2 * 2
        angle = torch.arange(t)[:, None] * 10000.0 ** (-torch.arange(0, r, 2) / r)[None, :]
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, self.heads)
        logits = self.norm(x) @ self.embedding.weight.T
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))

    def load_zoo(self, weights):
        """Takes weights with the zoo's names; its linear maps are [in, out]."""
        own = dict(self.named_parameters())
        for name, value in weights.items():
            theirs = name.replace("mixer.", "").replace("feed_forward.", "")
            theirs = theirs.replace("gamma", "weight").replace("beta", "bias")
            linear = theirs.split(".")[-2] in ("qkv", "out", "up", "down") and theirs.endswith("weight")
            with torch.no_grad():
                own.pop(theirs).copy_(value.T if linear else value)
        assert not own, f"no weights for {sorted(own)}"


def rotate(x, cos, sin):
    h = cos.shape[-1]
    a, b, rest = x[..., :h], x[..., h : 2 * h], x[..., 2 * h :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def optimizer(model):
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), eps=1e-6, fused=True)


def step(model, adamw, tokens, targets, cast=contextlib.nullcontext()):
    adamw.zero_grad(set_to_none=True)
    with cast:
        loss = model(tokens, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adamw.step()
    return loss
