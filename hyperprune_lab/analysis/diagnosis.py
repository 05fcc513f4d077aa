"""Why did this layer fail? Modules ranked by what they cost, and the cause of each as far as the record shows one.

Knows nothing about how findings are drawn. Two rankings are kept apart: functional damage (what restoring the module
alone recovers, where that was measured) and error against the trend over depth. Findings come worst first: failures,
then warnings, then notes, each by damage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from hyperprune_lab.analysis.causes import TESTS, Cause, Severity, Surroundings, Verdict, sensitive
from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.analysis.symptoms import Symptoms, symptoms
from hyperprune_lab.record.reader import Run

SEVERITIES: tuple[Severity, ...] = ("failure", "warning", "note")
_WIDESPREAD = 0.25
_SENSITIVE = 3
"""How many modules without a fault are told for the damage that they do."""


@dataclass(frozen=True)
class Finding:
    """One module and what is wrong with it.

    ``rank`` counts findings from 1, worst first. ``evidence`` are the numbers that ``sentence`` speaks of; ``links``
    are pairs of a view and a measure in it; ``what_if`` are settings for pruning its block once more. ``others`` are
    causes that also fit; ``upstream`` the module that an inherited error may come from.
    """

    module: str
    block: int
    rank: int
    cause: Cause
    severity: Severity
    strength: float
    damage: float | None
    damage_se: float | None
    times: float | None
    evidence: dict[str, float]
    sentence: str
    remedy: str
    links: tuple[tuple[str, str], ...]
    what_if: dict[str, Any]
    others: tuple[Cause, ...] = ()
    upstream: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        values = {name: value for name, value in self.__dict__.items() if not isinstance(value, tuple)}
        values |= {"links": [list(link) for link in self.links], "others": list(self.others)}
        values["evidence"] = {name: _finite(value) for name, value in self.evidence.items()}
        values["strength"] = _finite(self.strength)
        return values


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """All findings about a run, and the rankings that they come from.

    ``modules``: one row per linear (``module, block, local, error, times, damage, damage_se, rank_damage, rank_error,
    cause, severity``), in order of damage where it was measured, else of error over trend. ``untested`` says which
    causes could not be looked for, and why.
    """

    findings: tuple[Finding, ...]
    modules: pd.DataFrame
    untested: dict[str, str] = field(default_factory=dict)
    headline: str = ""

    def of(self, module: str) -> tuple[Finding, ...]:
        """The findings about one module, the likeliest cause first."""
        return tuple(finding for finding in self.findings if finding.module == module)

    def alarms(self, severity: Severity = "warning") -> tuple[Finding, ...]:
        """Findings at least as bad as ``severity``."""
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return tuple(finding for finding in self.findings if finding.severity in worst)


def diagnose(run: Run, as_of: int | None = None) -> Diagnosis:
    """Everything that the record lets one say about what went wrong, as of event ``as_of`` (None: now)."""
    found = symptoms(run, as_of)
    around = surroundings(run, found)
    verdicts = {one.module: verdicts_on(one, around) for one in found}
    verdicts |= _of_sensitive(found, verdicts)
    findings = _ranked(found, verdicts, _not_finite(run, as_of))
    modules = _ranking(found, findings)
    return Diagnosis(findings, modules, _untested(run, found), _headline(found, findings))


def surroundings(run: Run, found: Iterable[Symptoms]) -> Surroundings:
    """What is usual in this run."""
    gaps = [one.gap for one in found if one.gap is not None]
    data = run.started.get("data", {})
    heldout, window = data.get("heldout"), data.get("window")
    known = isinstance(heldout, int) and isinstance(window, int)
    return Surroundings(
        method=str(run.config.get("method")),
        usual_gap=float(np.median(gaps)) if gaps else 1.0,
        heldout_tokens=heldout * window if known else None,
    )


def verdicts_on(one: Symptoms, around: Surroundings) -> list[Verdict]:
    """What the tests say of a linear: the worst first, and of equals the one that explains the others."""
    verdicts = [verdict for test in TESTS if (verdict := test(one, around)) is not None]
    # An error above the trend is what a cause shows itself by, not another cause.
    if any(verdict.severity != "note" for verdict in verdicts if verdict.cause != "above the trend"):
        verdicts = [verdict for verdict in verdicts if verdict.cause != "above the trend"]
    return sorted(verdicts, key=lambda verdict: SEVERITIES.index(verdict.severity))


def _of_sensitive(found: list[Symptoms], verdicts: dict[str, list[Verdict]]) -> dict[str, list[Verdict]]:
    """Modules without a fault that do the most damage: beyond what the measurement scatters by itself."""
    sound = [one for one in found if not verdicts[one.module] and _certain(one)]
    sound.sort(key=lambda one: -(one.damage or 0.0))
    return {one.module: [sensitive(one)] for one in sound[:_SENSITIVE]}


def _certain(one: Symptoms) -> bool:
    return one.damage is not None and one.damage > 2 * (one.damage_se or 0.0)


def _not_finite(run: Run, as_of: int | None) -> list[Finding]:
    """The modules at whose input a run ended, because it held NaN or was too large."""
    ended = [event for event in run.events(kinds=("RunFailed",)) if as_of is None or event.seq <= as_of]
    if not ended:
        return []
    cause = str(ended[-1].payload.get("cause"))
    if "NaN" not in cause and "too large" not in cause:
        return []
    table = linears(run)
    named = set(_modules_named(cause))
    return [
        Finding(
            module=str(row["module"]),
            block=int(row["block"]),
            rank=0,
            cause="not finite",
            severity="failure",
            strength=math.inf,
            damage=None,
            damage_se=None,
            times=None,
            evidence={},
            sentence=f"The run ended here: {cause}",
            remedy="Load the model with dtype bfloat16 or float32 instead of float16; check the weights before it.",
            links=(("map", "error_rel"), ("control", "error")),
            what_if={},
        )
        for row in table.to_dict("records")
        if row["module"] in named
    ]


def _modules_named(cause: str) -> list[str]:
    """The linears that a message speaks of: ``model.layers.0.self_attn.q_proj+k_proj: ...`` are two."""
    name = re.split(r":| has ", cause, maxsplit=1)[0].strip()
    first, *others = name.split("+")
    parent = first.rpartition(".")[0]
    return [first, *(f"{parent}.{other}" for other in others)]


def _ranked(
    found: list[Symptoms], verdicts: dict[str, list[Verdict]], first: list[Finding]
) -> tuple[Finding, ...]:
    by_module = {one.module: one for one in found}
    pairs = [
        (by_module[module], place, verdict, listed)
        for module, listed in verdicts.items()
        for place, verdict in enumerate(listed)
    ]

    def order(pair: tuple[Symptoms, int, Verdict, list[Verdict]]) -> tuple[float, ...]:
        one, place, verdict, _ = pair
        worst = -math.inf if one.damage is None else one.damage
        return (SEVERITIES.index(verdict.severity), min(place, 1), -worst, -(one.times or 0.0), one.block)

    pairs.sort(key=order)
    broken = [one.module for one, _, verdict, _ in pairs if verdict.severity == "failure"]
    findings = [
        Finding(
            module=one.module,
            block=one.block,
            rank=0,
            cause=verdict.cause,
            severity=verdict.severity,
            strength=verdict.strength,
            damage=one.damage,
            damage_se=one.damage_se,
            times=one.times,
            evidence=verdict.evidence,
            sentence=verdict.sentence,
            remedy=verdict.remedy,
            links=verdict.links,
            what_if={"block": one.block, "modules": [one.module], **verdict.what_if}
            if verdict.what_if
            else {},
            others=tuple(other.cause for other in listed if other is not verdict),
        )
        for one, _, verdict, listed in pairs
    ]
    told = [*first, *(_with_upstream(finding, by_module, broken) for finding in findings)]
    return tuple(replace(finding, rank=rank) for rank, finding in enumerate(told, 1))


def _with_upstream(finding: Finding, by_module: dict[str, Symptoms], broken: list[str]) -> Finding:
    """An inherited error with the nearest broken module before it."""
    if finding.cause != "inherited error":
        return finding
    order = {module: place for place, module in enumerate(by_module)}
    before = [module for module in broken if order[module] < order[finding.module]]
    if not before:
        return finding
    nearest = max(before, key=order.__getitem__)
    return replace(finding, upstream=nearest, sentence=f"{finding.sentence} {nearest} is broken.")


def _ranking(found: list[Symptoms], findings: tuple[Finding, ...]) -> pd.DataFrame:
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.module, finding)
    rows = [
        {
            "module": one.module,
            "block": one.block,
            "local": one.local,
            "error": one.error,
            "times": one.times,
            "damage": one.damage,
            "damage_se": one.damage_se,
            "cause": first[one.module].cause if one.module in first else None,
            "severity": first[one.module].severity if one.module in first else None,
        }
        for one in found
    ]
    columns = ["module", "block", "local", "error", "times", "damage", "damage_se", "cause", "severity"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = ["error", "times", "damage", "damage_se"]
    table[numbers] = table[numbers].astype(float)
    for name, column in (("rank_damage", "damage"), ("rank_error", "times")):
        table[name] = table[column].rank(ascending=False, method="first").astype("Int64")
    by = "rank_damage" if table["damage"].notna().any() else "rank_error"
    return table.sort_values(by, kind="stable", na_position="last", ignore_index=True)


def _untested(run: Run, found: list[Symptoms]) -> dict[str, str]:
    """Causes that could not be looked for."""
    reasons = {}

    def unknown(*names: str) -> bool:
        return all(getattr(one, name) is None for one in found for name in names)

    if unknown("damage"):
        reasons["damage"] = (
            "functional damage was not measured: prune with --damage, or with a budget above quick"
            if run.state == "finished"
            else "functional damage is measured at the end of a run"
        )
    if unknown("undecided"):
        reasons["unconverged"] = "this method tells no entropy of its choices"
    if unknown("error_heldout"):
        reasons["calibration mismatch"] = "nothing was held out"
    if unknown("inherited"):
        reasons["inherited error"] = "the audit has not been made (yet)"
    if unknown("forgotten"):
        reasons["forgetting"] = "no shared network, nothing to forget"
    if unknown("across"):
        reasons["wrong axis"] = (
            "no square weight with its magnitude mask: a mask laid on transposed is not proved"
        )
    if unknown("tokens"):
        reasons["too few tokens"] = "no input was measured (yet)"
    return reasons


def _headline(found: list[Symptoms], findings: tuple[Finding, ...]) -> str:
    if not found and not findings:
        return "No linear has been decided yet."
    severest: dict[str, Severity] = {}
    for finding in findings:
        severest.setdefault(finding.module, finding.severity)
    counts = Counter(severest.values())
    if not counts["failure"] and not counts["warning"]:
        return f"No fault was found in {len(found)} linears."
    names: tuple[tuple[Severity, str], ...] = (("failure", "failing module"), ("warning", "doubtful one"))
    parts = [
        f"{counts[severity]} {noun if counts[severity] == 1 else f'{noun}s'}"
        for severity, noun in names
        if counts[severity]
    ]
    worst = findings[0]
    text = f"{', '.join(parts)} among {len(found)} linears; worst {worst.module}: {worst.cause}."
    cause, modules = widespread(findings)
    if cause is not None and modules >= _WIDESPREAD * max(len(found), 1):
        text += f" {modules} of them share the cause “{cause}”: look at the method before the modules."
    return text


def widespread(findings: Iterable[Finding]) -> tuple[Cause | None, int]:
    """The cause that alarms most modules, and how many: one that is everywhere is no module's own."""
    modules: dict[Cause, set[str]] = {}
    for finding in findings:
        if finding.severity != "note":
            modules.setdefault(finding.cause, set()).add(finding.module)
    if not modules:
        return None, 0
    cause = max(modules, key=lambda name: len(modules[name]))
    return cause, len(modules[cause])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
