"""The columns of the table of runs: what each figure is, how it is written, and from which width on it is shown.

Knows nothing about runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hyperprune_lab.views import theme


@dataclass(frozen=True)
class Column:
    """A column of the table.

    ``group`` is ``mask-only``, ``compensated`` or ``run``; ``level`` 1 is always shown, 4 only where there is room.
    """

    key: str
    label: str
    group: str
    level: int
    write: Callable[[float | None], str]
    help: str

    def form(self, value: float | None, awaits: bool = False) -> str:
        """The figure; of one that is still to come, that."""
        return theme.NOT_YET if value is None and awaits else self.write(value)


_OF_STATE: tuple[tuple[str, str, int, Callable[[float | None], str], str], ...] = (
    (
        "perplexity",
        "ppl",
        1,
        theme.fmt_number,
        "perplexity over all domains of the evaluation text; less is better",
    ),
    (
        "nats_lost",
        "nats lost",
        1,
        theme.fmt_signed,
        "nats a token more than the run's own dense model; less is better",
    ),
    (
        "gap_closed",
        "gap closed",
        3,
        theme.fmt_share,
        "share of what Wanda's mask costs that this one does not",
    ),
    ("skills", "skills", 3, theme.fmt_share, "share of skill probes answered right, mean over skills"),
    (
        "kl",
        "KL",
        4,
        theme.fmt_number,
        "divergence from the dense model's predictions, nats a token; less is better",
    ),
    (
        "top1_agreement",
        "top-1",
        4,
        theme.fmt_share,
        "share of tokens where the likeliest next token is the dense one",
    ),
)

COLUMNS: tuple[Column, ...] = (
    *(
        Column(f"{state}/{key}", label, state, level, write, words)
        for state in ("mask-only", "compensated")
        for key, label, level, write, words in _OF_STATE
    ),
    Column(
        "error_rel",
        "error",
        "run",
        2,
        theme.fmt_error,
        "mean relative error of the linears on the calibration text",
    ),
    Column(
        "seconds", "time", "run", 2, theme.fmt_seconds, "how long the run took, on the machine where it ran"
    ),
    Column("memory", "memory", "run", 3, theme.fmt_bytes, "peak memory of the run"),
)
LEVELS = {1: 0, 2: 600, 3: 860, 4: 1240}
"""From how many pixels on the columns of each level are shown."""
GROUPS = {"mask-only": "mask only", "compensated": "compensated", "run": "run"}


def columns_at(width_px: float, measured: frozenset[str]) -> tuple[Column, ...]:
    """The columns that have room, but for those in which no run has a figure."""
    return tuple(column for column in COLUMNS if LEVELS[column.level] <= width_px and column.key in measured)
