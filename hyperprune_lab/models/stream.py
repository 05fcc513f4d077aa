"""The stream of hidden states through the blocks: captured once, then replayed block by block.

Knows nothing about pruning; a block is a function from hidden states to hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache, PreTrainedModel

from hyperprune_lab.errors import UserError
from hyperprune_lab.models.blocks import Blocks

_SWITCHED_OFF = {"use_cache", "output_attentions", "output_hidden_states", "output_router_logits"}
_PLAIN = (Tensor, bool, int, float, str, torch.dtype, torch.device, type(None))


@dataclass(frozen=True, eq=False)
class BlockCall:
    """How the model calls a block, hidden states left out: masks, positions, rotary tables, switches."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class BlockStream:
    """The inputs of the first block, and how the model calls each block with each batch size.

    Attributes:
        hidden: one ``[batch, window, hidden]`` per calibration batch, the inputs of block 0; the last batch
            may be smaller. They lie on the storage device.
        calls: the call of each ``(block, batch size)``. Masks and positions depend on the shape of a batch,
            never on its tokens: ``capture`` refuses a model for which that does not hold.
        tuple_length: how many values a block returns as a tuple, hidden states first; 0 for a bare tensor.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        blocks: Blocks,
        hidden: list[Tensor],
        calls: dict[tuple[int, int], BlockCall],
        tuple_length: int,
    ) -> None:
        self.model = model
        self.blocks = blocks
        self.hidden = hidden
        self.calls = calls
        self.tuple_length = tuple_length
        self.window = hidden[0].shape[1]
        self._captured = (_input_device(model), hidden[0].dtype)
        self._place = self._captured
        self._placed = calls

    def __repr__(self) -> str:
        sizes = sorted({batch for _, batch in self.calls}, reverse=True)
        return (
            f"BlockStream({len(self.blocks)} blocks of {self.blocks.name}, {len(self.hidden)} batches, "
            f"sizes {sizes}, window {self.window})"
        )

    @classmethod
    def capture(
        cls,
        model: PreTrainedModel,
        blocks: Blocks,
        ids: Int[Tensor, "seq window"],
        batch: int,
        storage: torch.device | str | None = None,
    ) -> BlockStream:
        """Run what comes before the blocks on every ``batch`` sequences, and note how blocks are called.

        No block runs, except block 0 on one sequence, to see in what form it returns its output. ``storage``
        is where the hidden states are kept (default: where the model computes them).

        Raises:
            UserError: the model does not hand the hidden states straight from block to block, hands its
                blocks something that depends on the tokens, or shares state between them.
            ValueError: there are no sequences, or the model is in training mode (dropout would not replay).
        """
        if model.training:
            raise ValueError("a stream is captured from a model in evaluation mode: call model.eval() first")
        if len(ids) == 0 or batch < 1:
            raise ValueError("a stream needs at least one sequence and a batch size of at least 1")
        calls: dict[tuple[int, int], BlockCall] = {}
        hidden = []
        with torch.no_grad():
            tuple_length = _tuple_length(model, blocks, ids[:1])
            for chunk in ids.split(batch):
                if (0, len(chunk)) not in calls:
                    size_calls = _calls_of_all_blocks(model, blocks, chunk, tuple_length)
                    calls |= {(block, len(chunk)): call for block, call in enumerate(size_calls)}
                states, call = _call_of_first_block(model, blocks, chunk)
                if not _same(call, calls[0, len(chunk)]):
                    raise _unreplayable(model, "hands its blocks something that depends on the tokens")
                hidden.append(states.to(storage or states.device, copy=True))
        return cls(model, blocks, hidden, calls, tuple_length)

    def forward(
        self, block_index: int, hidden: Float[Tensor, "batch window hidden"]
    ) -> Float[Tensor, "batch window hidden"]:
        """What block ``block_index`` makes of ``hidden``; gradients flow if they are enabled.

        The block must lie on the device of ``hidden``. Masks and rotary tables follow ``hidden`` to its
        device and, where it differs from that of the capture, to its data type.

        Raises:
            ValueError: no call was captured for this batch size or window.
        """
        batch, window = hidden.shape[:2]
        if (block_index, batch) not in self.calls or window != self.window:
            raise ValueError(
                f"no call of block {block_index} was captured for {batch} sequences of {window}: {self!r}"
            )
        self._move((hidden.device, hidden.dtype))
        call = self._placed[block_index, batch]
        output = self.blocks[block_index](hidden, *call.args, **call.kwargs)
        return output[0] if self.tuple_length else output

    def finish(
        self, hidden: Float[Tensor, "batch window hidden"]
    ) -> Float[Tensor, "batch window vocabulary"]:
        """The logits that the model makes of the last block's output: whatever comes after the blocks.

        Runs where the model's embedding lies and in the data type of the capture; gradients flow if enabled.
        """
        device, dtype = _input_device(self.model), self._captured[1]
        shortcut = _shortcut(hidden.to(device, dtype), self.tuple_length)
        tokens = torch.zeros(hidden.shape[:2], dtype=torch.long, device=device)
        with _substituted(self.blocks, [shortcut] * len(self.blocks)):
            return self.model(tokens, use_cache=False).logits

    def _move(self, place: tuple[torch.device, torch.dtype]) -> None:
        """Bring the calls' tensors to ``place``; a tensor that calls share is moved once."""
        if place == self._place:
            return
        device, dtype = place
        captured_dtype = self._captured[1]
        moved: dict[int, Tensor] = {}

        def move(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            if id(value) not in moved:
                # Tables that the model keeps in another type than its hidden states stay in that type.
                moved[id(value)] = value.to(device, dtype if value.dtype == captured_dtype else value.dtype)
            return moved[id(value)]

        # Always from what was captured: types that were narrowed once could not be widened again.
        self._placed = {
            key: BlockCall(_mapped(call.args, move), _mapped(call.kwargs, move))
            for key, call in self.calls.items()
        }
        self._place = place


class _Stop(Exception):
    """Leaves a forward pass that has shown what was wanted."""


Forward = Callable[..., Any]


@contextmanager
def _substituted(blocks: Blocks, forwards: list[Forward]) -> Iterator[None]:
    """Let each block do something else when it is called; afterwards all are as they were."""
    own: list[Any] = [block.__dict__.get("forward") for block in blocks]
    try:
        for block, forward in zip(blocks, forwards, strict=True):
            block.forward = forward
        yield
    finally:
        for block, forward in zip(blocks, own, strict=True):
            if forward is None:
                block.__dict__.pop("forward", None)
            else:
                block.forward = forward


def _run(model: PreTrainedModel, blocks: Blocks, ids: Tensor, forwards: list[Forward]) -> None:
    """Run the model with its blocks replaced until one of them stops it."""
    try:
        with _substituted(blocks, forwards):
            model(ids.to(_input_device(model)), use_cache=False)
    except _Stop:
        pass


def _shortcut(hidden: Tensor, tuple_length: int) -> Forward:
    """A block that returns ``hidden`` whatever it is given, in the form in which blocks return."""
    output = (hidden, *[None] * (tuple_length - 1)) if tuple_length else hidden
    return lambda *_args, **_kwargs: output


def _tuple_length(model: PreTrainedModel, blocks: Blocks, ids: Tensor) -> int:
    """How many values block 0 returns as a tuple; 0 for a bare tensor."""
    lengths = []
    first = blocks[0].forward

    def look(*args: Any, **kwargs: Any) -> Any:
        output = first(*args, **kwargs)
        lengths.append(len(output) if isinstance(output, tuple) else 0)
        raise _Stop

    _run(model, blocks, ids, [look] * len(blocks))
    if not lengths:
        raise _unreplayable(model, f"does not call the modules of {blocks.name}")
    return lengths[0]


def _calls_of_all_blocks(
    model: PreTrainedModel, blocks: Blocks, ids: Tensor, tuple_length: int
) -> list[BlockCall]:
    """The call of each block, seen with blocks that return what they are given: masks do not depend on it."""
    seen: list[tuple[int, Tensor, BlockCall]] = []

    def recorder(block: int) -> Forward:
        def record(*args: Any, **kwargs: Any) -> Any:
            hidden, call = _split(model, args, kwargs)
            seen.append((block, hidden, call))
            if len(seen) == len(blocks):
                raise _Stop
            return _shortcut(hidden, tuple_length)()

        return record

    _run(model, blocks, ids, [recorder(block) for block in range(len(blocks))])
    in_order = [block for block, _, _ in seen] == list(range(len(blocks)))
    if not in_order or any(hidden is not seen[0][1] for _, hidden, _ in seen):
        raise _unreplayable(model, f"does not hand the hidden states straight through {blocks.name}")
    return [call for _, _, call in seen]


def _call_of_first_block(model: PreTrainedModel, blocks: Blocks, ids: Tensor) -> tuple[Tensor, BlockCall]:
    seen: list[tuple[Tensor, BlockCall]] = []

    def record(*args: Any, **kwargs: Any) -> Any:
        seen.append(_split(model, args, kwargs))
        raise _Stop

    _run(model, blocks, ids, [record] * len(blocks))
    return seen[0]


def _split(model: PreTrainedModel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, BlockCall]:
    """The hidden states, and the rest of a call made free of side effects: no cache, no extra outputs."""
    if args:
        hidden, args = args[0], args[1:]
    else:
        kwargs = dict(kwargs)
        hidden = kwargs.pop("hidden_states")
    args = tuple(None if isinstance(value, Cache) else value for value in args)
    kwargs = {
        name: False if name in _SWITCHED_OFF else None if isinstance(value, Cache) else value
        for name, value in kwargs.items()
    }
    named = [(f"argument {place}", value) for place, value in enumerate(args, 1)] + list(kwargs.items())
    for name, value in named:
        for leaf in _leaves(value):
            if not isinstance(leaf, _PLAIN):
                what = f"hands its blocks state that they share ({name}, a {type(leaf).__name__})"
                raise _unreplayable(model, what)
    return hidden, BlockCall(args, kwargs)


def _unreplayable(model: PreTrainedModel, what: str) -> UserError:
    return UserError(
        f"{type(model).__name__} {what}, so its blocks cannot be run one by one: "
        "choose a model whose blocks depend on nothing but their input."
    )


def _input_device(model: PreTrainedModel) -> torch.device:
    return next(model.get_input_embeddings().parameters()).device


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` applied to every leaf of nested tuples, lists and dictionaries.

    An empty dictionary is a leaf: it holds nothing yet but may be there to be filled.
    """
    if type(value) in (tuple, list):
        return type(value)(_mapped(item, function) for item in value)
    if type(value) is dict and value:
        return {key: _mapped(item, function) for key, item in value.items()}
    return function(value)


def _leaves(value: Any) -> list[Any]:
    leaves: list[Any] = []
    _mapped(value, leaves.append)
    return leaves


def _same(first: BlockCall, second: BlockCall) -> bool:
    pairs = zip(
        [*_leaves(first.args), *_leaves(first.kwargs)],
        [*_leaves(second.args), *_leaves(second.kwargs)],
        strict=True,
    )
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)
