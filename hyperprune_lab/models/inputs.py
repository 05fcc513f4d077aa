"""What the linears of a block read, observed while the block runs.

Knows nothing about statistics, blocks or models: it hands tensors to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hyperprune_lab.models.linears import PrunableLinear

Sink = Callable[[str, tuple[str, ...], Tensor], None]
"""Receives the input's key, the full names of the linears that read it, and ``x[tokens, in]``."""


def input_key(linears: Sequence[PrunableLinear]) -> str:
    """The stable name of an input: the local names of the linears that read it, in order of definition.

    Linears of one parent are joined under it: ``self_attn.q_proj+k_proj+v_proj``; otherwise local names are
    joined whole: ``self_attention.query_key_value+mlp.dense_h_to_4h``. It is the same in every block of a
    kind.
    """
    parents = {linear.local.rpartition(".")[0] for linear in linears}
    if len(parents) > 1:
        return "+".join(linear.local for linear in linears)
    parent = parents.pop()
    return (f"{parent}." if parent else "") + "+".join(linear.local.rpartition(".")[2] for linear in linears)


@contextmanager
def record_inputs(linears: Sequence[PrunableLinear], sink: Sink) -> Iterator[None]:
    """Hand the input of each linear to ``sink`` while the block runs inside the ``with`` statement.

    Linears that are handed the very same tensor object share one entry. A call's entries are delivered when
    the block is called again (when a linear is met for the second time) or the statement ends, because only
    then is it known who shares; until then the distinct inputs of one call are held. After an exception
    nothing more is delivered. The hooks always come off. Tensors arrive detached, in the order in which they
    were first read, and must not be written to.
    """
    order = {linear.name: place for place, linear in enumerate(linears)}
    pending: list[tuple[Tensor, list[PrunableLinear]]] = []

    def deliver() -> None:
        for x, readers in pending:
            readers.sort(key=lambda linear: order[linear.name])
            names = tuple(linear.name for linear in readers)
            sink(input_key(readers), names, x.detach().reshape(-1, x.shape[-1]))
        pending.clear()

    def observer(linear: PrunableLinear) -> Callable[..., None]:
        def observe(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else next(iter(kwargs.values()))
            if any(linear in readers for _, readers in pending):
                deliver()
            for held, readers in pending:
                if held is x:
                    readers.append(linear)
                    return
            pending.append((x, [linear]))

        return observe

    handles = [
        linear.module.register_forward_pre_hook(observer(linear), with_kwargs=True) for linear in linears
    ]
    try:
        yield
        deliver()
    finally:
        for handle in handles:
            handle.remove()
