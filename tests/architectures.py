"""Tiny random language models of many architectures, and how to store one as a checkpoint folder.

Knows nothing about pruning; every area's tests may build on it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

VOCABULARY = 128
POSITIONS = 128
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)

# The shape that the Llama family shares: 4 query heads over 2 key-value heads, every width a multiple of 16.
_LLAMA: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
}
_NEOX: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
}
_GEMMA: dict[str, Any] = {**_LLAMA, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 8}
_EXPERTS: dict[str, Any] = {**_LLAMA, "num_hidden_layers": 2, "num_experts_per_tok": 2}
_LATENT: dict[str, Any] = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}

_SETTINGS: dict[str, dict[str, Any]] = {
    "llama": _LLAMA,
    "mistral": {**_LLAMA, "sliding_window": 8},
    "qwen2": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 8},
    "gemma2": {**_GEMMA, "num_hidden_layers": 4},
    # The sixth of seven layers is the full one, so the stack has both masks and both rotary tables.
    "gemma3_text": {**_GEMMA, "num_hidden_layers": 7},
    "opt": {**_NEOX, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "gpt2": {"n_embd": 32, "n_inner": 64, "n_layer": 3, "n_head": 4, "n_positions": POSITIONS},
    "gpt_neox": {**_NEOX, "intermediate_size": 64},
    "phi3": _LLAMA,
    "falcon": _NEOX,
    "bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 4},
    "mixtral": {**_EXPERTS, "num_local_experts": 4},
    # One dense layer, then one of experts: blocks of one model need not be equal.
    "deepseek_v3": {
        **_EXPERTS,
        **_LATENT,
        "moe_intermediate_size": 32,
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
    },
}

# The architectures that must run end to end; the others broaden what replay and coverage are checked on.
CORE_ARCHITECTURES = (
    "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "opt", "gpt2", "gpt_neox", "phi3",
)  # fmt: skip

# The library has no other attention for these.
EAGER_ONLY = ("gemma2", "bloom")


def build(architecture: str, attention: str | None = None, seed: int = 0) -> PreTrainedModel:
    """A tiny fp32 model in evaluation mode, without gradients; norms and biases are random as well.

    The same architecture and seed give the same weights. ``attention`` is a back end (``eager``, ``sdpa``).
    """
    config = AutoConfig.for_model(
        architecture,
        vocab_size=VOCABULARY,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        initializer_range=0.1,
        **_SETTINGS[architecture],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    # Trivial gains and zero biases would hide a norm or a bias that is dropped.
                    parameter.add_(0.1 * torch.randn_like(parameter))
    model.config.use_cache = False
    return model.eval().requires_grad_(False)


ARCHITECTURES: dict[str, Callable[..., PreTrainedModel]] = {name: partial(build, name) for name in _SETTINGS}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token per printable ASCII character or newline; anything else is ``<unk>``. 100 ids.

    Byte-level, because that is what some architectures make of whatever tokenizer lies beside them.
    """
    space, newline = "\u0120", "\u010a"  # how byte-level tokenizers write these two
    characters = [newline, space, *(chr(code) for code in range(33, 127))]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *characters])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    pad, bos, eos, unk = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk
    )


def save_tiny(architecture: str, path: Path | str, seed: int = 0) -> Path:
    """Store a tiny model with its tokenizer as a checkpoint folder; returns its path."""
    folder = Path(path)
    build(architecture, seed=seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
