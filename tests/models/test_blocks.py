"""Blocks are found by structure: on the path of the text, the outer list, whatever it is called."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, Gemma3Config

from hyperprune_lab.errors import UserError
from hyperprune_lab.models import find_blocks
from tests.architectures import ARCHITECTURES


@pytest.mark.parametrize(
    ("architecture", "name", "count"),
    [
        ("llama", "model.layers", 3),
        ("gemma3_text", "model.layers", 7),
        ("opt", "model.decoder.layers", 3),
        ("gpt2", "transformer.h", 3),
        ("gpt_neox", "gpt_neox.layers", 3),
        ("bloom", "transformer.h", 3),
        ("deepseek_v3", "model.layers", 2),
    ],
)
def test_where_the_blocks_of_known_architectures_are(architecture: str, name: str, count: int) -> None:
    model = ARCHITECTURES[architecture]()
    blocks = find_blocks(model)
    assert (blocks.name, len(blocks)) == (name, count)
    for index, block in enumerate(blocks):
        assert model.get_submodule(blocks.prefix(index)) is block
        assert blocks[index] is block


class Part(nn.Module):
    """Holds named children, and nothing else."""

    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class TextModel(Part):
    """As much of a model as finding blocks looks at."""

    def get_input_embeddings(self) -> nn.Module | None:
        return next((m for name, m in self.named_modules() if name.endswith("words")), None)


def stack(count: int, width: int) -> nn.ModuleList:
    return nn.ModuleList(Part(linear=nn.Linear(width, width)) for _ in range(count))


@pytest.mark.unchecked
def test_a_larger_vision_tower_is_not_taken_for_the_text() -> None:
    text = Part(words=nn.Embedding(9, 16), layers=stack(2, 16))
    model = TextModel(model=Part(vision=Part(layers=stack(8, 64)), language=text))
    blocks = find_blocks(model)
    assert (blocks.name, len(blocks)) == ("model.language.layers", 2)


@pytest.mark.unchecked
def test_embeddings_in_a_part_of_their_own_are_looked_around() -> None:
    model = TextModel(
        model=Part(embeddings=Part(words=nn.Embedding(9, 16)), encoder=Part(blocks=stack(2, 16)))
    )
    assert find_blocks(model).name == "model.encoder.blocks"


@pytest.mark.unchecked
def test_lists_inside_a_block_and_lists_without_linears_do_not_count() -> None:
    experts = Part(experts=stack(4, 16))
    model = TextModel(
        words=nn.Embedding(9, 16),
        norms=nn.ModuleList(nn.LayerNorm(4096) for _ in range(3)),
        head=nn.Sequential(nn.Linear(16, 16), nn.ReLU()),
        blocks=nn.Sequential(experts),
    )
    assert find_blocks(model).name == "blocks", "a single block is a stack too, and outer lists win"


@pytest.mark.unchecked
def test_a_model_without_blocks_is_refused() -> None:
    model = TextModel(words=nn.Embedding(9, 16), head=nn.Linear(16, 9))
    with pytest.raises(UserError, match=r"TextModel has no list of transformer blocks.*causal language"):
        find_blocks(model)


def test_a_real_model_with_two_towers() -> None:
    small = {"num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 16}
    text = {**small, "vocab_size": 16, "head_dim": 8, "num_key_value_heads": 1}
    vision = {**small, "num_hidden_layers": 5, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(config)
    assert find_blocks(model).name == "model.language_model.layers"
