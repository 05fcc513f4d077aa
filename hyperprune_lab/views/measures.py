"""What the model map and its kin can measure of a module: label, domain, direction, number format.

Knows nothing about grids or widgets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from hyperprune_lab.views import theme


@dataclass(frozen=True)
class ModuleMeasure:
    """One number per module. ``extreme`` is the word for the end that deserves a look: the high or the low one."""

    name: str
    label: str
    domain: tuple[float, float]
    scale: Literal["log", "linear"]
    colors: Literal["cividis", "deviation"]
    extreme: str
    high_is_worse: bool
    form: Callable[[float | None], str]
    format_name: str
    """The same format in the browser."""

    def values(self, modules: pd.DataFrame) -> pd.Series:
        """One value per row of ``Run.modules()``; NaN where it was not measured."""
        if self.name == "error_vs_wanda":
            return _column(modules, "error_rel") / _column(modules, "error_rel_wanda").replace(0.0, np.nan)
        return _column(modules, self.name)

    def place(self, value: float, domain: tuple[float, float] | None = None) -> float:
        """Where in the domain a value lies: 0 at its low end, 1 at its high end; clamped."""
        low, high = domain or self.domain
        if self.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def fitted(self, values: list[float]) -> tuple[float, float]:
        """A domain that just holds these values; a ratio's stays centered on 1."""
        usable = [value for value in values if value > 0 or self.scale == "linear"]
        if not usable:
            return self.domain
        low, high = min(usable), max(usable)
        if self.colors == "deviation":
            reach = max(high, 1 / low, 1.01)
            return 1 / reach, reach
        if low == high:
            return (low / 1.1, high * 1.1) if self.scale == "log" else (low - 0.01, high + 0.01)
        return low, high


def _column(modules: pd.DataFrame, name: str) -> pd.Series:
    if name in modules:
        return modules[name].astype("float64")
    return pd.Series(np.nan, index=modules.index, dtype="float64")


def _error(name: str, label: str) -> ModuleMeasure:
    return ModuleMeasure(
        name, label, theme.ERROR_DOMAIN, "log", "cividis", "worst", True, theme.fmt_error, "error"
    )


def _share(name: str, label: str, extreme: str, high_is_worse: bool) -> ModuleMeasure:
    return ModuleMeasure(
        name, label, theme.SHARE_DOMAIN, "linear", "cividis", extreme, high_is_worse, theme.fmt_share, "share"
    )


MEASURES: dict[str, ModuleMeasure] = {
    measure.name: measure
    for measure in (
        _error("error_rel", "relative error"),
        _error("error_rel_heldout", "relative error, held-out text"),
        ModuleMeasure(
            "error_vs_wanda",
            "error over Wanda's",
            theme.RATIO_DOMAIN,
            "log",
            "deviation",
            "worst",
            True,
            theme.fmt_ratio,
            "ratio",
        ),
        _error("error_rel_total", "error inside the pruned model"),
        _error("error_rel_inherited", "error that its input brings"),
        _error("damage_kl", "functional damage, nats per token"),
        _share("agreement_wanda", "same pattern as Wanda", "least", False),
        _share("kept_score", "kept score", "least", False),
        _share("changed_from_prior", "changed from the prior", "most", True),
        ModuleMeasure(
            "seconds",
            "seconds spent on the block",
            theme.SECONDS_DOMAIN,
            "log",
            "cividis",
            "longest",
            True,
            theme.fmt_seconds,
            "seconds",
        ),
    )
}
