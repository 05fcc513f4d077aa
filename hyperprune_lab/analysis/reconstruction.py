"""Where does the error come from? By depth, by cause, by output row, by input channel, and against the trend.

Knows nothing about panels. Errors are relative to the dense output's energy: ``tr(D H D^T) / tr(W H W^T)`` with
``D = W - W * mask`` on calibration statistics of the dense model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.analysis.linears import placed
from hyperprune_lab.record.reader import Run

METHODS = {"this run": "error_rel", "wanda": "error_rel_wanda", "magnitude": "error_rel_magnitude"}
PARTS = ("local", "inherited", "cross", "total")
_LEAST_SCALE = 0.05
_TO_SIGMA = 1.4826


def errors(run: Run, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
    """Long form, one row per linear and method: ``module, block, local, panel, method, error_rel, provisional``.

    ``method`` is ``this run`` (mask-only, original weights), ``wanda`` or ``magnitude``, all on the same statistics.
    What was not measured has no row.
    """
    table = placed(run.modules(stage, as_of))
    keys = ["module", "block", "local", "panel", "provisional"]
    parts = [
        table[[*keys, column]].rename(columns={column: "error_rel"}).assign(method=method)
        for method, column in METHODS.items()
        if column in table
    ]
    if not parts:
        return pd.DataFrame(columns=[*keys[:4], "method", "error_rel", "provisional"])
    long = pd.concat(parts, ignore_index=True).dropna(subset="error_rel")
    return long[[*keys[:4], "method", "error_rel", "provisional"]].reset_index(drop=True)


def compensated_blocks(run: Run, as_of: int | None = None) -> pd.DataFrame:
    """Error of whole block outputs after compensation: columns ``stage, block, error_linear, error_refit``.

    Squared difference of the pruned block's output from the dense one, over the energy of what the dense block adds:
    after least squares, then after the refit of the block (both inherit the error of earlier blocks). It is another
    quantity than a linear's relative error and belongs on an axis of its own. Errors of single linears with
    compensated weights are not recorded. Empty without compensation.
    """
    table = run.blocks()
    names = {"block_error_linear": "error_linear", "block_error_refit": "error_refit"}
    if not set(names) <= set(table.columns):
        return pd.DataFrame(columns=["stage", "block", *names.values()])
    if as_of is not None:
        table = table[table["seq"] <= as_of]
    found = table.dropna(subset=list(names), how="all").rename(columns=names)
    return found[["stage", "block", *names.values()]].reset_index(drop=True)


def decomposition(run: Run, as_of: int | None = None) -> pd.DataFrame:
    """The error of each linear inside the pruned model, with all masks in place.

    Columns ``module, block, local_name, panel, local, inherited, cross, total``.
    ``W x_dense - W' x_pruned = W (x_dense - x_pruned) + (W - W') x_pruned``: ``inherited`` and ``local`` are the
    squared norms of the two terms, ``cross`` is twice their inner product (it may be negative), ``total`` the squared
    norm of the sum, all over the dense output's energy on held-out text. The first two do not add up to the last
    without ``cross``. Empty before the audit.
    """
    table = placed(run.modules(as_of=as_of)).rename(columns={"local": "local_name"})
    names = {f"error_rel_{part}": part for part in PARTS}
    keys = ["module", "block", "local_name", "panel"]
    if not set(names) <= set(table.columns):
        return pd.DataFrame(columns=[*keys, *PARTS])
    found = table.rename(columns=names).dropna(subset=list(PARTS), how="all")
    return found[[*keys, *PARTS]].reset_index(drop=True)


def held_out(run: Run, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
    """Calibration against held-out error: ``module, block, local, panel, calibration, held_out, ratio``.

    ``ratio`` is held-out over calibration; well above 1 the mask fits the calibration text more than the model's input.
    """
    table = placed(run.modules(stage, as_of))
    columns = ["module", "block", "local", "panel", "calibration", "held_out", "ratio"]
    if not {"error_rel", "error_rel_heldout"} <= set(table.columns):
        return pd.DataFrame(columns=columns)
    table = table.rename(columns={"error_rel": "calibration", "error_rel_heldout": "held_out"})
    table = table.dropna(subset=["calibration", "held_out"])
    ratio = table["held_out"] / table["calibration"].where(table["calibration"] > 0)
    return table.assign(ratio=ratio)[columns].reset_index(drop=True)


def worst_rows(run: Run, module: str, top: int = 10, as_of: int | None = None) -> pd.DataFrame:
    """Output rows that lose most: ``row, error, share, times_mean, of_own``; empty if rows were not recorded.

    ``error`` is the row's part of the relative error (over the energy of the whole matrix; the parts add up to it),
    ``share`` is it over their sum, ``times_mean`` over the mean row's, ``of_own`` over the row's own dense energy (NaN
    where that was not recorded): a row may lose most because it is loud, or because it was pruned badly.
    """
    arrays = run.evidence("module", module, as_of=as_of)
    parts, energies = arrays.get("row_errors"), arrays.get("row_energies")
    if parts is None:
        return pd.DataFrame(columns=["row", "error", "share", "times_mean", "of_own"])
    parts = parts.astype(np.float64)
    order = np.argsort(-parts, kind="stable")[:top]
    total = float(parts.sum())
    share = parts[order] / total if total > 0 else np.zeros(len(order))
    own = np.full(len(order), np.nan)
    if energies is not None:
        np.divide(parts[order], energies[order], out=own, where=energies[order] > 0)
    return pd.DataFrame(
        {
            "row": order,
            "error": parts[order],
            "share": share,
            "times_mean": share * len(parts),
            "of_own": own,
        }
    )


@dataclass(frozen=True)
class ChannelShares:
    """Signed parts ``s_j`` of the relative error by input channel; ``table`` has the largest by size.

    ``table``: ``channel, share`` (``s_j``), ``of_total`` (over their sum, the relative error). ``positive`` and
    ``negative`` are the sums of either sign over all channels, ``rest`` what is not in the table.
    """

    table: pd.DataFrame
    total: float
    positive: float
    negative: float
    rest: float


def channel_shares(run: Run, module: str, top: int = 10, as_of: int | None = None) -> ChannelShares | None:
    """``s_j = sum_k H_jk (D^T D)_jk / tr(W H W^T)``: which inputs the error comes through; None if not recorded.

    A negative share says that what channel j lost cancels what correlated channels lost.
    """
    parts = run.evidence("module", module, as_of=as_of).get("channel_shares")
    if parts is None:
        return None
    parts = parts.astype(np.float64)
    order = np.argsort(-np.abs(parts), kind="stable")[:top]
    total = float(parts.sum())
    table = pd.DataFrame(
        {"channel": order, "share": parts[order], "of_total": parts[order] / total if total > 0 else np.nan}
    )
    return ChannelShares(
        table,
        total,
        float(parts[parts > 0].sum()),
        float(parts[parts < 0].sum()),
        total - float(parts[order].sum()),
    )


def trend(run: Run, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
    """Each linear's error against the trend of its kind over depth.

    Columns ``module, block, local, panel, error_rel``, ``expected`` (the trend's value there), ``residual`` (natural
    logarithm of error over expected), ``times`` (error over expected), ``deviations`` (residual over the robust spread
    of its panel), ``slope`` (of log error per block). The trend is a line through log error by Theil and Sen: the
    median of all slopes between two blocks, then the median intercept, so that a few failing layers do not bend it.
    The spread is 1.4826 times the median absolute residual, at least 0.05. A panel with fewer than three blocks has
    no trend (NaN), and an error of 0 or one that is not finite takes no part. Of several experts in a block the median
    counts.
    """
    table = placed(run.modules(stage, as_of))
    if "error_rel" not in table:
        table = table.assign(error_rel=np.nan)
    table = table[["module", "block", "local", "panel", "error_rel"]].copy()
    for name in ("expected", "residual", "times", "deviations", "slope"):
        table[name] = np.nan
    usable = np.isfinite(table["error_rel"]) & (table["error_rel"] > 0)
    for _, panel in table[usable].groupby("panel", sort=False):
        depth, log_error = panel["block"].to_numpy(float), np.log(panel["error_rel"].to_numpy(float))
        # Experts share a panel: their median stands for a block, so that pairs of points stay few.
        blocks = np.unique(depth)
        line = theil_sen(blocks, np.array([np.median(log_error[depth == block]) for block in blocks]))
        if line is None:
            continue
        slope, intercept = line
        residual = log_error - (slope * depth + intercept)
        spread = max(_TO_SIGMA * float(np.median(np.abs(residual))), _LEAST_SCALE)
        table.loc[panel.index, "expected"] = np.exp(slope * depth + intercept)
        table.loc[panel.index, "residual"] = residual
        table.loc[panel.index, "times"] = np.exp(residual)
        table.loc[panel.index, "deviations"] = residual / spread
        table.loc[panel.index, "slope"] = slope
    return table


def theil_sen(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> tuple[float, float] | None:
    """Slope and intercept: medians over all pairs of points with different x; None under three distinct x."""
    if len(np.unique(x)) < 3:
        return None
    first, second = np.triu_indices(len(x), 1)
    run, rise = x[second] - x[first], y[second] - y[first]
    slope = float(np.median(rise[run != 0] / run[run != 0]))
    return slope, float(np.median(y - slope * x))


def headline(run: Run, as_of: int | None = None) -> str:
    """The mean error beside Wanda's and magnitude's, and the worst linear, in one line."""
    table = errors(run, as_of=as_of)
    if table.empty:
        return "No linear has been decided yet."
    means = table.groupby("method")["error_rel"].mean()
    ours = table[table["method"] == "this run"]
    worst = ours.iloc[int(ours["error_rel"].to_numpy(float).argmax())]
    beside = ", ".join(
        f"{name} {means[key]:.3g}"
        for key, name in (("wanda", "Wanda"), ("magnitude", "magnitude"))
        if key in means
    )
    return (
        f"Mean relative error {means['this run']:.3g}{f' ({beside})' if beside else ''} over {len(ours)} linears; "
        f"worst {worst['module']} with {worst['error_rel']:.3g}."
    )
