"""The tables that commands print, from plain values.

Knows nothing about where the values come from. Not applicable is a dash, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Result = dict[str, Any]
NOTHING = "–"


def results_table(results: Sequence[Result]) -> RenderableType:
    """The runs side by side, in two tables that fit 80 columns: what they are worth, what they cost.

    *Gap closed* is the share of Wanda's mask-only loss that is gone, mask-only / compensated.
    """
    worth = _table(_title(results[0]), "dense", "mask-only", "compensated", "gap closed")
    cost = _table("", "error", "sparsity", "violations", "time", "memory")
    for result in results:
        name, dense = Text(_name(result)), result["dense_ppl"]
        gaps = [number(result[f"gap_closed_{state}"], ".2f") for state in ("mask_only", "compensated")]
        worth.add_row(
            name,
            number(dense, ".2f"),
            with_loss(result["mask_only_ppl"], dense),
            with_loss(result["compensated_ppl"], dense),
            NOTHING if gaps == [NOTHING, NOTHING] else " / ".join(gaps),
        )
        cost.add_row(
            name,
            number(result["error_rel_mean"], ".4f"),
            number(result["sparsity"], ".1%"),
            number(result["violations"], "d"),
            time_text(result["seconds"]),
            bytes_text(result["peak_memory_bytes"]),
        )
    return Group(worth, cost, Text("\n".join(_remarks(results))))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    table.add_column("method")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _title(result: Result) -> str:
    return f"{Path(result['model']).name} at {result['pattern']}: perplexity (nats per token lost)"


def _name(result: Result) -> str:
    return f"{result['method']} ({result['preset']})" if result["preset"] else str(result["method"])


def _remarks(results: Sequence[Result]) -> Iterator[str]:
    """What does not fit a column: one method's own figures, the rung of compensation, the records."""
    for result in results:
        name = _name(result)
        if result["published_ppl"] is not None:
            published = with_loss(result["published_ppl"], result["dense_ppl"])
            yield f"{name} with its own weights, as published: {published}"
        if result["prior_mask_only_ppl"] is not None:
            yield (
                f"{name} starts from a prior ({number(result['prior_mask_only_ppl'], '.2f')} mask-only, "
                f"{number(result['prior_compensated_ppl'], '.2f')} compensated) and changes "
                f"{number(result['changed_from_prior'], '.1%')} of its groups"
            )
        if result["average_forgetting"] is not None:
            yield f"{name} forgets {number(result['average_forgetting'], '.3f')} on average"
    yield f"compensation: {', '.join(sorted({str(result['compensation']) for result in results}))}"
    yield from (f"record of {_name(result)}: {result['run']}" for result in results if result["run"])


def two_columns(rows: Sequence[tuple[str, str]], title: str | None = None) -> Table:
    """Names and values, without lines around them."""
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table


def number(value: float | None, form: str) -> str:
    """``value`` in the given format, a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    return format(value, form)


def with_loss(perplexity: float | None, dense: float | None) -> str:
    """A perplexity with the nats per token that it loses against ``dense``."""
    if perplexity is None or dense is None:
        return number(perplexity, ".2f")
    return f"{perplexity:.2f} ({math.log(perplexity / dense):+.3f})"


def millions(count: int) -> str:
    """A number of parameters as a person says it."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)


def time_text(seconds: float | None) -> str:
    """A duration: seconds below two minutes, then minutes, then hours."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def bytes_text(count: float | None) -> str:
    """An amount of memory in MiB or GiB."""
    if count is None:
        return NOTHING
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
