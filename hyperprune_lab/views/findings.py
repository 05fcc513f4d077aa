"""Findings, "Why did this layer fail?": modules ranked by what they cost, the cause of each, and what was tried.

Knows neither the browser nor how a diagnosis or a trial is made: it arranges them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from hyperprune_lab.analysis.causes import Severity
from hyperprune_lab.analysis.diagnosis import Diagnosis, Finding, diagnose
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import findings_words as words
from hyperprune_lab.views import theme
from hyperprune_lab.views.findings_picture import picture
from hyperprune_lab.views.findings_words import text

__all__ = ["FindingsData", "Trial", "findings_data", "payload", "picture", "table", "text"]

SHOWN = 12
MOST_SHOWN = 2000
TIMES_DOMAIN = (0.25, 4.0)
"""Error over the trend, on a log scale around 1."""
_LEAST_DAMAGE = 0.05
_PATTERNS = ("3:4", "2:4", "4:8", "8:16", "1:4")
_SAMPLES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Order:
    """A way to rank the modules."""

    name: str
    label: str


ORDERS: dict[str, Order] = {
    order.name: order
    for order in (
        Order("severity", "worst fault first"),
        Order("damage", "most functional damage first"),
        Order("trend", "largest error against the depth trend first"),
    )
}


@dataclass(frozen=True)
class Ranked:
    """One linear in the rankings. ``times`` is its error over the trend over depth; damage is in nats per token."""

    module: str
    block: int
    local: str
    error: float | None = None
    times: float | None = None
    damage: float | None = None
    damage_se: float | None = None
    cause: str | None = None
    severity: Severity | None = None
    rank_damage: int | None = None
    rank_error: int | None = None


@dataclass(frozen=True)
class Trial:
    """One what-if: the setting, and how far it is. ``answer`` is that of ``pipeline.inquiry``'s ``what-if``."""

    number: int
    module: str
    setting: Mapping[str, Any]
    state: Literal["asking", "done", "failed", "cancelled"] = "asking"
    progress: str = ""
    share: float | None = None
    answer: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True)
class FindingsData:
    """Everything the view shows as of event ``seq``.

    ``modules`` are in the chosen ``order``, of which ``rows`` are shown, each with its place. ``trials`` are those
    about the focused module's block, the newest first. ``cannot_try`` says why nothing can be tried; ``pending``: what
    is shown was found earlier, and the present is being looked at.
    """

    run: str
    seq: int
    method: str
    finished: bool
    order: Order
    headline: str = ""
    findings: tuple[Finding, ...] = ()
    modules: tuple[Ranked, ...] = ()
    untested: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[tuple[int, Ranked], ...] = ()
    all_shown: bool = False
    focus: str | None = None
    focus_note: str = ""
    shape: tuple[int, int] | None = None
    pattern: str = ""
    samples: int | None = None
    trials: tuple[Trial, ...] = ()
    cannot_try: str = ""
    pending: bool = False

    def of(self, module: str | None) -> Ranked | None:
        """Where this module stands."""
        return next((one for one in self.modules if one.module == module), None)

    @property
    def focused(self) -> tuple[Finding, ...]:
        """The findings about the focused module, the likeliest cause first."""
        return tuple(finding for finding in self.findings if finding.module == self.focus)

    @property
    def damage_domain(self) -> tuple[float, float]:
        """Damage is known at the end, all at once: the axis holds the largest, two standard errors included."""
        ends = [one.damage + 2 * (one.damage_se or 0.0) for one in self.modules if one.damage is not None]
        return 0.0, max([_LEAST_DAMAGE, *ends])


def findings_data(
    run: Run,
    *,
    as_of: int | None = None,
    diagnosis: Diagnosis | None = None,
    order: str = "severity",
    everything: bool = False,
    selection: Sequence[str] = (),
    trials: Sequence[Trial] = (),
    cannot_try: str = "",
    pending: bool = False,
) -> FindingsData:
    """What is wrong in a run as of event ``as_of`` (default: now).

    ``diagnosis`` is made here unless it is given. ``order`` is one of ``ORDERS``; ``everything`` lists all modules.
    The first of ``selection`` is told about, or the worst module.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    found = diagnosis if diagnosis is not None else diagnose(run, as_of)
    here = linears(run)
    measured = [_ranked(row) for row in found.modules.to_dict("records")]
    modules = _ordered([*measured, *_unmeasured(measured, found.findings, here)], found.findings, order)
    focus = selection[0] if selection else None
    if focus is None and found.findings:
        focus = found.findings[0].module
    elif focus is None and modules:
        focus = modules[0].module
    at = here[here["module"] == focus].to_dict("records")
    samples = run.config.get("calibration", {})
    samples = samples.get("samples") if isinstance(samples, dict) else None
    return FindingsData(
        run=run.directory.root.name,
        seq=seq,
        method=str(run.config.get("method", "")),
        finished=run.newest_seq(("RunFinished",), seq) > 0,
        order=ORDERS[order],
        headline=found.headline,
        findings=found.findings,
        modules=tuple(modules),
        untested=dict(found.untested),
        rows=_shown(modules, focus, MOST_SHOWN if everything else SHOWN),
        all_shown=everything,
        focus=focus,
        focus_note=_note(
            focus,
            focus in {one.module for one in modules},
            bool(at),
            [f for f in found.findings if f.module == focus],
        ),
        shape=(int(at[0]["out_features"]), int(at[0]["in_features"])) if at else None,
        pattern=str(at[0]["pattern"]) if at else "",
        samples=samples if isinstance(samples, int) else None,
        trials=tuple(trial for trial in trials if _concerns(trial, focus, at)),
        cannot_try=cannot_try,
        pending=pending,
    )


def _ranked(row: Mapping[Any, Any]) -> Ranked:
    def number(name: str) -> float | None:
        value = row[name]
        return None if value is None or value != value else float(value)

    def rank(name: str) -> int | None:
        try:
            return int(row[name])
        except (TypeError, ValueError):
            return None

    return Ranked(
        module=str(row["module"]),
        block=int(row["block"]),
        local=str(row["local"]),
        **{name: number(name) for name in ("error", "times", "damage", "damage_se")},
        cause=row["cause"] if isinstance(row["cause"], str) else None,
        severity=row["severity"] if isinstance(row["severity"], str) else None,  # type: ignore[arg-type]
        rank_damage=rank("rank_damage"),
        rank_error=rank("rank_error"),
    )


def _unmeasured(measured: list[Ranked], findings: Sequence[Finding], table: pd.DataFrame) -> list[Ranked]:
    """Modules at which the run ended, before anything was measured in them."""
    known = {one.module for one in measured}
    ended = {finding.module: finding for finding in findings if finding.module not in known}
    return [
        Ranked(str(name), int(block), str(local), cause=ended[name].cause, severity=ended[name].severity)
        for name, block, local in table[["module", "block", "local"]].itertuples(index=False)
        if name in ended
    ]


def _ordered(modules: list[Ranked], findings: Sequence[Finding], order: str) -> list[Ranked]:
    if order == "severity":
        first: dict[str, int] = {}
        for finding in findings:
            first.setdefault(finding.module, finding.rank)
        last = len(findings) + 1
        # Where nothing was found, they stay as they come: by damage, else by error over the trend.
        return sorted(modules, key=lambda one: first.get(one.module, last))
    by = "rank_damage" if order == "damage" else "rank_error"
    return sorted(modules, key=lambda one: getattr(one, by) or len(modules) + 1)


def _shown(modules: list[Ranked], focus: str | None, most: int) -> tuple[tuple[int, Ranked], ...]:
    """The first of them with their places, and the focused one wherever it stands."""
    placed = list(enumerate(modules, 1))
    return tuple(placed[:most] + [(place, one) for place, one in placed[most:] if one.module == focus])


def _note(focus: str | None, known: bool, pruned: bool, findings: Sequence[Finding]) -> str:
    if focus is None or findings:
        return ""
    if known:
        return "No fault was found in it."
    return (
        "Nothing is known of it yet: its block is not finished."
        if pruned
        else "It is not pruned in this run."
    )


def _concerns(trial: Trial, focus: str | None, at: Sequence[Mapping[Any, Any]]) -> bool:
    whole = trial.setting.get("modules") is None and bool(at) and trial.setting.get("block") == at[0]["block"]
    return trial.module == focus or whole


# -- for the browser


def payload(data: FindingsData) -> dict[str, Any]:
    """What the browser draws; numbers in words are those of ``text``."""
    one = data.of(data.focus)
    return {
        "headline": words.headline(data),
        "honesty": words.honesty(data),
        "damage_note": words.damage_note(data),
        "pending": data.pending,
        "order": data.order.name,
        "method": data.method,
        "count": len(data.modules),
        "all": data.all_shown,
        "domains": {"damage": data.damage_domain, "times": TIMES_DOMAIN},
        "rows": [_row(place, row) for place, row in data.rows],
        "focus": data.focus,
        "focus_name": None if data.focus is None else theme.shown_name(data.focus, 120),
        "about": [] if data.shape is None else [theme.fmt_shape(*data.shape), data.pattern],
        "standing": [] if one is None else words.standing_of(data, one),
        "note": data.focus_note,
        "findings": [_finding(finding, data) for finding in data.focused],
        "checks": words.checks_of(data, data.focus or ""),
        "tries": _tries(data),
        "trials": [_trial(trial) for trial in data.trials],
        "cannot_try": data.cannot_try,
    }


def _row(place: int, one: Ranked) -> dict[str, Any]:
    return {
        "place": place,
        "module": one.module,
        "block": one.block,
        "name": theme.shown_name(one.local, 40),
        "severity": one.severity,
        "cause": words.cause_of(one),
        "damage": one.damage,
        "spread": None if one.damage_se is None else 2 * one.damage_se,
        "damage_text": words.damage_of(one),
        "times": one.times,
    }


def _finding(finding: Finding, data: FindingsData) -> dict[str, Any]:
    gauge = words.gauge_of(finding, data.method)
    return {
        "cause": finding.cause,
        "severity": finding.severity,
        "rank": finding.rank,
        "sentence": theme.shown_name(finding.sentence, 600),
        "remedy": finding.remedy,
        "gauge": None
        if gauge is None
        else {
            "title": gauge.title,
            "scale": gauge.scale,
            "domain": gauge.domain,
            "rows": [[label, value, gauge.form(value), whose] for label, value, whose in gauge.rows],
        },
        "evidence": words.evidence_of(finding, gauge),
        "links": [
            [view, measure, *LINKS[view, measure][:1]]
            for view, measure in finding.links
            if (view, measure) in LINKS
        ],
        "upstream": finding.upstream,
        "try": _suggested(finding),
    }


def _suggested(finding: Finding) -> dict[str, Any] | None:
    if not finding.what_if:
        return None
    setting = {name: finding.what_if.get(name) for name in ("method", "pattern", "samples")}
    return {
        "how": "dense" if finding.what_if.get("dense") else setting["method"] or "",
        "pattern": setting["pattern"] or "",
        "samples": setting["samples"] or 0,
        "whole": finding.what_if.get("modules") is None,
        "words": words.setting_words(finding.what_if),
    }


LINKS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("mask", "agreement_wanda"): ("Mask: beside Wanda's", {"against": "wanda", "side": "difference"}),
    ("mask", "keep_rate"): ("Mask: keep-rate by column", {"measure": "keep_rate", "side": "ours"}),
    ("map", "kept_score"): ("Map: kept score", {"measure": "kept_score"}),
    ("map", "damage_kl"): ("Map: functional damage", {"measure": "damage_kl"}),
    ("map", "error_rel"): ("Map: relative error", {"measure": "error_rel"}),
    ("map", "error_rel_inherited"): ("Map: inherited error", {"measure": "error_rel_inherited"}),
    ("outliers", "channel_rms"): ("Outliers: the channels of its input", {"chosen": "selection"}),
    ("outliers", "channel_rms_heldout"): ("Outliers: the channels of its input", {"chosen": "selection"}),
    ("outliers", "keep_rate"): ("Outliers: what its loud channels keep", {"chosen": "selection"}),
    ("reconstruction", "held_out"): ("Errors: calibration and held-out", {}),
    ("reconstruction", "parts"): ("Errors: its own and inherited", {}),
    ("reconstruction", "error_rel"): ("Errors: over depth", {}),
    ("hypernetwork", "entropy"): ("Network: entropy while it learned", {"zoom": True}),
    ("hypernetwork", "embeddings"): ("Network: embeddings", {}),
    ("forgetting", "changed"): ("Forgetting: changed groups", {"measure": "changed"}),
    ("control", "error"): ("Run: what it said at its end", {}),
}
"""By view and measure of a finding: what the button says, and the choices to make in that view."""


def _tries(data: FindingsData) -> dict[str, Any] | None:
    """What may be chosen for a what-if on the focused module."""
    if data.shape is None or data.of(data.focus) is None:
        return None
    own = theme.method_style(data.method).label
    again = f"as the run did ({own})" if data.method != "hyperprune" else "coordinate descent, for HyperPrune"
    fit = [one for one in _PATTERNS if one != data.pattern and not data.shape[1] % NMPattern.parse(one).group]
    return {
        "how": [
            ["", again],
            *([name, theme.method_style(name).label] for name in words.METHODS if name != data.method),
            ["dense", "left dense"],
        ],
        "pattern": [["", f"{data.pattern}, as it is"], *([one, one] for one in fit)],
        "samples": [
            [0, "as calibrated" if data.samples is None else f"{data.samples} windows, as calibrated"],
            *([count, f"{count} windows"] for count in _SAMPLES if count != data.samples),
        ],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": trial.number,
        "module": trial.module,
        "words": words.setting_words(trial.setting),
        "state": trial.state,
        "progress": trial.progress,
        "share": trial.share,
        "error": theme.shown_name(trial.error, 400),
    }
    if trial.state == "done" and trial.answer is not None:
        how = words.outcome(trial.answer)
        difference = trial.answer["difference"]
        told |= {
            "outcome": how,
            "sign": words.OUTCOMES[how][0],
            "verdict": words.OUTCOMES[how][1],
            "difference": [difference["nats"], difference["low"], difference["high"]],
            "effect": words.effect_words(trial),
            "basis": words.basis_of(trial),
            "scope": _scope_of(trial),
        }
    return told


def _scope_of(trial: Trial) -> str:
    """What a next run can be told to do likewise: ``dense``, a pattern, or nothing."""
    setting = trial.setting
    if setting.get("dense"):
        return "dense"
    return str(setting.get("pattern") or "")


def table(data: FindingsData) -> list[dict[str, Any]]:
    """All modules in the chosen order, for the CSV."""
    return [
        {
            "place": place,
            "module": one.module,
            "block": one.block,
            "severity": one.severity or "",
            "cause": one.cause or "",
            "damage_nats_per_token": one.damage,
            "damage_se": one.damage_se,
            "error_rel": one.error,
            "error_over_trend": one.times,
        }
        for place, one in enumerate(data.modules, 1)
    ]
