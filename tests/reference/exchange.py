"""Tiny models of each Hugging Face class, made by transformers, and the check that it reads what the zoo exports.

    python tests/reference/exchange.py           makes the folders hf-*/ beside this file
    python tests/reference/exchange.py check DIR ...    loads exported folders and compares logits

(transformers 5.23.0, torch 2.11.0, safetensors 0.8.0; CPU, float32.) Each folder is what `save_pretrained` writes for a
random model, and `expected.safetensors`: two rows of tokens and the logits that PyTorch gives for them. Weights are
large enough for every part of a model to be seen in its logits.

`check` looks for `expected.safetensors` in each folder, with tokens `[b, t]` and logits `[b, t, v]`, loads the folder
with `AutoModelForCausalLM`, without custom code, and fails where a logit differs by more than 1e-4, or where a weight of
the file has no place in the model or the other way round.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, MixtralConfig, Olmo2Config,
    Qwen3Config,
)

V, D, LAYERS, HEADS, FF, T = 11, 16, 2, 4, 24, 6
TOLERANCE = 1e-4

COMMON = dict(
    vocab_size=V, hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=FF,
    max_position_embeddings=8, bos_token_id=0, eos_token_id=0, pad_token_id=None,
)
GROUPED = COMMON | dict(num_key_value_heads=2)
CONFIGS = {
    "gpt2": GPT2Config(
        vocab_size=V, n_embd=D, n_layer=LAYERS, n_head=HEADS, n_positions=8, n_inner=FF, bos_token_id=0, eos_token_id=0,
    ),
    "gpt-neox": GPTNeoXConfig(**COMMON, rotary_pct=0.5, rotary_emb_base=10000),
    "gpt-neox-tied": GPTNeoXConfig(
        **COMMON, rotary_pct=0.5, use_parallel_residual=False, tie_word_embeddings=True, hidden_act="gelu_new"),
    "llama": LlamaConfig(**GROUPED, attention_bias=True, rms_norm_eps=1e-5),
    "mistral": MistralConfig(**GROUPED, sliding_window=3, tie_word_embeddings=True),
    "mixtral": MixtralConfig(**GROUPED, num_local_experts=3, num_experts_per_tok=2),
    "qwen3": Qwen3Config(
        **GROUPED, head_dim=D // HEADS, tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 4,
            "beta_fast": 1.0, "beta_slow": 0.05,
        },
    ),
    "olmo2": Olmo2Config(
        **GROUPED, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}),
}
# Weights of half the bits are as common as f32 in the files that people have.
DTYPES = {"mistral": torch.bfloat16, "gpt-neox-tied": torch.float16}


def shake(model):
    """Random weights, norms and offsets included."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.copy_(noise + (1 if "norm" in name or "ln_" in name else 0) * (parameter.dim() == 1))


def make():
    for name, config in CONFIGS.items():
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        shake(model)
        dtype = DTYPES.get(name, torch.float32)
        model.to(dtype).to(torch.float32)
        tokens = torch.randint(0, V, (2, T), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            logits = model(tokens).logits
        folder = Path(__file__).with_name(f"hf-{name}")
        model.to(dtype)
        # One model in parts, as large ones are.
        model.save_pretrained(folder, max_shard_size="6KB" if name == "llama" else "5GB")
        save_file({"tokens": tokens.float(), "logits": logits.contiguous()}, folder / "expected.safetensors")
        (folder / "generation_config.json").unlink(missing_ok=True)
        print(f"{folder.name}: {model.num_parameters()} parameters, logits up to {logits.abs().max():.3f}")


def check(folders):
    failed = False
    for folder in map(Path, folders):
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        expected = load_file(folder / "expected.safetensors")
        with torch.no_grad():
            logits = model.eval()(expected["tokens"].long()).logits
        difference = (logits - expected["logits"]).abs().max().item()
        strangers = {key: sorted(map(str, value)) for key, value in info.items() if value}
        good = difference <= TOLERANCE and not strangers
        failed |= not good
        print(json.dumps({
            "folder": folder.name, "class": type(model).__name__, "difference": difference, "strangers": strangers,
            "transformers": transformers.__version__, "ok": good,
        }))
    sys.exit(failed)


if __name__ == "__main__":
    check(sys.argv[2:]) if sys.argv[1:2] == ["check"] else make()
