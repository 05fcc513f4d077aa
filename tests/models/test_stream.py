"""Blocks replayed one by one do what the whole model does, for every architecture and attention back end."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hyperprune_lab.errors import UserError
from hyperprune_lab.models import BlockStream, find_blocks
from tests.architectures import ARCHITECTURES, EAGER_ONLY, VOCABULARY

WINDOW = 20  # longer than the sliding windows of 8, so that their masks differ from the full ones

BACK_ENDS = [
    (architecture, attention)
    for architecture in ARCHITECTURES
    for attention in ("eager", "sdpa")
    if attention == "eager" or architecture not in EAGER_ONLY
]


def some_ids(sequences: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(4, VOCABULARY, (sequences, WINDOW), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("architecture", "attention"), BACK_ENDS)
def test_replay_equals_the_full_forward_pass(architecture: str, attention: str) -> None:
    model = ARCHITECTURES[architecture](attention=attention)
    ids = some_ids(3)
    before = model(ids).logits
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, ids, batch=2)
    assert [len(hidden) for hidden in stream.hidden] == [2, 1]
    with torch.no_grad():
        for start, hidden in zip((0, 2), stream.hidden, strict=True):
            for index in range(len(blocks)):
                hidden = stream.forward(index, hidden)
            expected = model(ids[start : start + 2]).logits
            torch.testing.assert_close(stream.finish(hidden), expected, rtol=0, atol=1e-5)
    assert torch.equal(model(ids).logits, before), "the capture left something in the model"


@pytest.mark.parametrize("architecture", ["mistral", "gemma3_text"])
def test_calls_differ_from_block_to_block_where_the_model_makes_them(architecture: str) -> None:
    """The replay test could pass without masks or per-block tables if they made no difference."""
    model = ARCHITECTURES[architecture](attention="eager")
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, some_ids(2), batch=2)
    hidden = stream.hidden[0]
    block = len(blocks) - 1
    right = stream.forward(block, hidden)
    call = stream.calls[block, 2]
    call.kwargs["attention_mask"] = torch.zeros_like(call.kwargs["attention_mask"])
    assert (stream.forward(block, hidden) - right).abs().max() > 1e-3
    if architecture == "gemma3_text":
        stream.calls[block, 2] = stream.calls[5, 2]
        assert (stream.forward(block, hidden) - right).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_gradients_flow_through_a_replayed_block(architecture: str) -> None:
    model = ARCHITECTURES[architecture](attention="eager").double()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the fused kernel knows no float64
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, some_ids(2), batch=2)
    hidden = stream.hidden[0].requires_grad_()
    weight = next(parameter for parameter in blocks[0].parameters() if parameter.ndim == 2).requires_grad_()
    output = stream.forward(0, hidden)
    probe = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).reshape(output.shape).cos()
    (output * probe).sum().backward()
    for leaf in (hidden, weight):
        assert leaf.grad is not None
        place = tuple(int(index) for index in torch.unravel_index(leaf.grad.abs().argmax(), leaf.shape))
        shifted = []  # norms work in float32 inside, so the step must not be too small
        with torch.no_grad():
            for step in (2e-4, -2e-4):
                leaf[place] += step
                shifted.append((stream.forward(0, hidden) * probe).sum())
                leaf[place] -= step
        slope = (shifted[0] - shifted[1]) / 4e-4
        torch.testing.assert_close(leaf.grad[place], slope, rtol=1e-2, atol=1e-4)


def test_capture_is_deterministic_and_does_not_alias_what_blocks_may_write_into() -> None:
    model = ARCHITECTURES["llama"]()
    blocks = find_blocks(model)
    first = BlockStream.capture(model, blocks, some_ids(2), batch=1)
    second = BlockStream.capture(model, blocks, some_ids(2), batch=1, storage="cpu")
    assert all(torch.equal(a, b) for a, b in zip(first.hidden, second.hidden, strict=True))
    first.hidden[0].zero_()
    assert not torch.equal(first.hidden[0], second.hidden[0])


def test_no_block_runs_during_capture_beyond_one_sequence_of_the_first() -> None:
    model = ARCHITECTURES["llama"]()
    blocks = find_blocks(model)
    runs: list[tuple[int, int]] = []
    for index, block in enumerate(blocks):
        inner = block.mlp
        inner.register_forward_pre_hook(lambda _, args, index=index: runs.append((index, len(args[0]))))
    BlockStream.capture(model, blocks, some_ids(5), batch=2)
    assert runs == [(0, 1)]


def test_calls_carry_no_cache_and_ask_for_no_extra_outputs() -> None:
    for architecture in ARCHITECTURES:
        model = ARCHITECTURES[architecture]()
        model.config.use_cache = True
        stream = BlockStream.capture(model, find_blocks(model), some_ids(1), batch=1)
        for call in stream.calls.values():
            for name in ("past_key_values", "layer_past"):
                assert call.kwargs.get(name) is None
            assert not call.kwargs.get("use_cache")
            assert not call.kwargs.get("output_attentions")


def test_a_mask_that_blocks_share_is_held_and_converted_once() -> None:
    model = ARCHITECTURES["llama"](attention="eager")
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, some_ids(2), batch=2)
    model.double()
    stream.forward(0, stream.hidden[0].double())
    masks = {id(call.kwargs["attention_mask"]) for call in stream._placed.values()}
    assert len(masks) == 1
    mask = stream._placed[0, 2].kwargs["attention_mask"]
    assert mask.dtype == torch.float64


def test_replay_in_another_data_type_follows_the_hidden_states_and_comes_back() -> None:
    model = ARCHITECTURES["gemma3_text"](attention="eager")
    blocks = find_blocks(model)
    stream = BlockStream.capture(model, blocks, some_ids(2), batch=2)
    before = stream.forward(0, stream.hidden[0])
    blocks[0].double()
    wide = stream.forward(0, stream.hidden[0].double())
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide.float(), before, rtol=1e-4, atol=1e-4)
    blocks[0].float()
    assert torch.equal(stream.forward(0, stream.hidden[0]), before)


def test_a_batch_size_or_window_that_was_not_captured_is_named() -> None:
    model = ARCHITECTURES["llama"]()
    stream = BlockStream.capture(model, find_blocks(model), some_ids(5), batch=3)
    with pytest.raises(ValueError, match=r"block 1 .* for 1 sequences of 20: .*sizes \[3, 2\], window 20"):
        stream.forward(1, stream.hidden[0][:1])
    with pytest.raises(ValueError, match="for 3 sequences of 8"):
        stream.forward(1, stream.hidden[0][:, :8])


def test_capture_refuses_training_mode_and_no_sequences() -> None:
    model = ARCHITECTURES["llama"]()
    blocks = find_blocks(model)
    with pytest.raises(ValueError, match="at least one sequence"):
        BlockStream.capture(model, blocks, some_ids(0), batch=1)
    with pytest.raises(ValueError, match="evaluation mode"):
        BlockStream.capture(model.train(), blocks, some_ids(1), batch=1)


class Odd(nn.Module):
    """A stack of blocks whose wiring ``between`` decides; only as much of a model as a stream looks at."""

    def __init__(self, between: Callable[[nn.ModuleList, torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 16)
        self.blocks = nn.ModuleList(OddBlock() for _ in range(3))
        self.between = between
        self.eval()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def forward(self, ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.between(self.blocks, self.embed(ids), ids))


class OddBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, hidden_states: torch.Tensor, extra: object = None) -> torch.Tensor:
        return hidden_states + self.linear(hidden_states)


def added_between(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        hidden = block(hidden) + 1
    return hidden


def called_backward(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for block in reversed(blocks):
        hidden = block(hidden)
    return hidden


def called_twice(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        hidden = block(block(hidden))
    return hidden


def called_never(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return hidden


def told_the_tokens(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        hidden = block(hidden, extra=ids)
    return hidden


def sharing_state(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    shared: dict[str, torch.Tensor] = {}
    for block in blocks:
        hidden = block(hidden, extra=shared)
    return hidden


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("between", "message"),
    [
        (added_between, "straight through blocks"),
        (called_backward, "straight through blocks"),
        (called_twice, "straight through blocks"),
        (called_never, "does not call the modules of blocks"),
        (told_the_tokens, "depends on the tokens"),
        (sharing_state, r"state that they share \(extra, a dict\)"),
    ],
)
def test_models_whose_blocks_cannot_stand_alone_are_refused(between: Callable, message: str) -> None:
    model = Odd(between)
    with pytest.raises(UserError, match=f"Odd .*{message}"):
        BlockStream.capture(model, find_blocks(model), some_ids(4), batch=2)
    assert all("forward" not in block.__dict__ for block in model.blocks), "the blocks were not given back"


@pytest.mark.unchecked
def test_a_plain_stack_and_hidden_states_by_keyword_are_accepted() -> None:
    def plain(blocks: nn.ModuleList, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        for block in blocks:
            hidden = block(hidden_states=hidden)
        return hidden

    model = Odd(plain)
    stream = BlockStream.capture(model, find_blocks(model), some_ids(2), batch=2)
    hidden = stream.hidden[0]
    for index in range(3):
        hidden = stream.forward(index, hidden)
    assert torch.equal(stream.finish(hidden), model(some_ids(2), use_cache=False).logits)


def test_an_error_inside_the_model_leaves_the_blocks_as_they_were() -> None:
    model = ARCHITECTURES["llama"]()
    blocks = find_blocks(model)
    own = blocks[1].forward
    blocks[1].forward = own  # as libraries do that wrap a module's forward
    with pytest.raises(IndexError):
        BlockStream.capture(model, blocks, some_ids(1) + VOCABULARY, batch=1)
    assert blocks[1].__dict__["forward"] is own
    assert all("forward" not in blocks[index].__dict__ for index in (0, 2))
