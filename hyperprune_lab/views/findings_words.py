"""The words of the findings view: what evidence is called, what a what-if changed, what could not be looked for.

Knows nothing about pictures. Numbers are formatted here, once, for the browser and the text alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hyperprune_lab.analysis.causes import TESTS, Severity
from hyperprune_lab.analysis.diagnosis import Finding
from hyperprune_lab.views import theme

if TYPE_CHECKING:
    from hyperprune_lab.views.findings import FindingsData, Ranked, Trial

SIGNS: dict[Severity | None, str] = {"failure": "✕", "warning": "▲", "note": "○", None: ""}
SEVERITY_WORDS: dict[Severity, str] = {"failure": "failing", "warning": "doubtful", "note": "note"}
CAUSES = tuple(test.__name__.replace("_", " ").replace("above trend", "above the trend") for test in TESTS)
"""Everything that is looked for, in the order in which one explains another."""

_HOWEVER = "The ranking stands all the same: something always costs most."


def _nats(value: float | None) -> str:
    return theme.NONE if value is None else f"{theme.fmt_number(value)} nats"


def _plain_signed(value: float | None) -> str:
    return theme.fmt_signed(value, 2)


EVIDENCE: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "error": ("error, calibration text", theme.fmt_error),
    "error_heldout": ("error, held-out text", theme.fmt_error),
    "error_wanda": ("error of Wanda's mask", theme.fmt_error),
    "price": ("error over Wanda's", theme.fmt_ratio),
    "gap": ("held-out over calibration error", theme.fmt_ratio),
    "usual_gap": ("usual in this run", theme.fmt_ratio),
    "times": ("error over the trend", theme.fmt_ratio),
    "own": ("error of its own", theme.fmt_error),
    "inherited": ("error from its input", theme.fmt_error),
    "total": ("error in the pruned model", theme.fmt_error),
    "inherited_times": ("inherited error over its trend", theme.fmt_ratio),
    "damage": ("functional damage", _nats),
    "damage_se": ("standard error of the damage", _nats),
    "standing": ("score kept: 0 as by chance, 1 as Wanda", theme.fmt_number),
    "kept_score": ("Wanda's score that it keeps", theme.fmt_share),
    "kept_score_wanda": ("that Wanda's mask keeps", theme.fmt_share),
    "agreement_wanda": ("groups decided as Wanda does", theme.fmt_share),
    "along": ("correlation with large weights", _plain_signed),
    "across": ("correlation with the transposed weight", _plain_signed),
    "chance": ("that a random mask keeps", theme.fmt_share),
    "undecided": ("entropy of its choices, 1: by lot", theme.fmt_number),
    "tokens": ("calibration tokens", theme.fmt_count),
    "tokens_per_channel": ("tokens per input channel", theme.fmt_number),
    "condition": ("condition of H", theme.fmt_number),
    "dead": ("channels that were always zero", theme.fmt_count),
    "revived": ("of them alive on held-out text", theme.fmt_count),
    "shift": ("shift of channels, log of RMS", theme.fmt_number),
    "outliers": ("outlier channels", theme.fmt_count),
    "outliers_kept": ("their weights that are kept", theme.fmt_share),
    "outliers_kept_wanda": ("that Wanda keeps", theme.fmt_share),
    "outliers_share": ("share of its error through them", theme.fmt_share),
    "forgotten": ("groups it would now decide otherwise", theme.fmt_share),
    "forgotten_times": ("error it would then have", theme.fmt_ratio),
}


@dataclass(frozen=True)
class Gauge:
    """The numbers of a finding that are held against each other on one scale: ``rows`` of label, value, whose it is."""

    title: str
    scale: Literal["linear", "log"]
    domain: tuple[float, float]
    rows: tuple[tuple[str, float, str], ...]
    form: Callable[[float | None], str]


def gauge_of(finding: Finding, method: str) -> Gauge | None:
    """What shows the cause at a glance; None where it is no comparison."""
    known = finding.evidence

    def rows(*named: tuple[str, str, str]) -> tuple[tuple[str, float, str], ...]:
        return tuple(
            (label, known[name], whose)
            for label, name, whose in named
            if name in known and math.isfinite(known[name])
        )

    errors = ("log", theme.ERROR_DOMAIN, theme.fmt_error)
    shares = ("linear", theme.SHARE_DOMAIN, theme.fmt_share)
    match finding.cause:
        case "wrong axis":
            title, form = "Wanda's score that is kept", shares
            shown = rows(
                ("this mask", "kept_score", method),
                ("by chance", "chance", ""),
                ("Wanda", "kept_score_wanda", "wanda"),
            )
        case "unconverged":
            title, form = "Entropy of its choices; 100 % is drawn by lot", shares
            shown = rows(("this mask", "undecided", method))
        case "too few tokens" | "calibration mismatch":
            title, form = "Its error on two texts", errors
            shown = rows(("calibration", "error", method), ("held out", "error_heldout", method))
        case "lost outlier channels":
            title, form = "Weights of loud channels that are kept", shares
            shown = rows(("this mask", "outliers_kept", method), ("Wanda", "outliers_kept_wanda", "wanda"))
        case "forgetting":
            title, form = "Groups that the network would now decide otherwise", shares
            shown = rows(("this block", "forgotten", method))
        case "inherited error":
            title, form = "Where its error comes from", errors
            shown = rows(("its own", "own", method), ("its input", "inherited", method))
        case "above the trend":
            title, form = "Its error, and what its depth leads one to expect", errors
            expected = known["error"] / known["times"] if known.get("times") and "error" in known else None
            shown = rows(("this module", "error", method))
            shown += () if expected is None else (("the trend", expected, ""),)
        case _:
            return None
    scale, domain, write = form
    return Gauge(title, scale, domain, shown, write) if shown else None  # type: ignore[arg-type]


def evidence_of(finding: Finding, gauge: Gauge | None) -> list[tuple[str, str]]:
    """The numbers behind a finding: label and value. What the gauge shows stands there."""
    shown = {value for _, value, _ in gauge.rows} if gauge is not None else set()
    return [
        (EVIDENCE[name][0], EVIDENCE[name][1](value))
        for name, value in finding.evidence.items()
        if name in EVIDENCE and value not in shown
    ]


# -- modules and the whole run


def damage_of(one: Ranked) -> str:
    """``0.252 ± 0.137``: two standard errors."""
    if one.damage is None:
        return "not recorded"
    if not one.damage_se:
        return theme.fmt_number(one.damage)
    # As many digits as its uncertainty leaves standing.
    digits = min(6, max(0, 1 - math.floor(math.log10(2 * one.damage_se))))
    return f"{one.damage:.{digits}f} ± {2 * one.damage_se:.{digits}f}".replace("-", "−")


def cause_of(one: Ranked) -> str:
    """The cause in a row of the ranking."""
    return one.cause or "no fault found"


def standing_of(data: FindingsData, one: Ranked) -> list[tuple[str, str]]:
    """Where a module stands in both rankings."""
    count = len(data.modules)
    told = [("error", theme.fmt_error(one.error))]
    if one.times is not None:
        rank = "" if one.rank_error is None else f", {_place(one.rank_error)} of {count}"
        told.append(("over the trend", f"{theme.fmt_ratio(one.times)}{rank}"))
    else:
        told.append(("over the trend", theme.NONE))
    rank = "" if one.rank_damage is None else f", {_place(one.rank_damage)} of {count}"
    unit = "" if one.damage is None else " nats per token"
    told.append(("damage", f"{damage_of(one)}{unit}{rank}"))
    return told


def _place(rank: int) -> str:
    return "most" if rank == 1 else f"place {rank}"


def headline(data: FindingsData) -> str:
    """The answer in one sentence."""
    if not data.modules and not data.findings:
        return (
            "Looking at what is recorded …"
            if data.pending
            else "No block is finished yet: findings come block by block."
        )
    so_far = "" if data.finished else "So far: "
    return f"{so_far}{data.headline}"


def honesty(data: FindingsData) -> str:
    """What the headline does not mean."""
    if not data.modules:
        return ""
    sound = not any(finding.severity != "note" for finding in data.findings)
    looked = [cause for cause in CAUSES if cause not in data.untested]
    told = (
        [f"{len(looked)} of {len(CAUSES)} causes could be looked for."] if len(looked) < len(CAUSES) else []
    )
    if sound:
        told.insert(0, f"None of the causes below shows itself in this record. {_HOWEVER}")
    return " ".join(told)


def damage_note(data: FindingsData) -> str:
    """Why there is no damage, and how to get it; empty where it is known."""
    reason = data.untested.get("damage")
    if reason is None or not data.modules:
        return ""
    way = f"{reason[0].upper()}{reason[1:]}."
    if data.finished and not data.cannot_try:
        way += " Or leave one module dense below: what comes back is its damage."
    return way


def checks_of(data: FindingsData, module: str) -> list[tuple[str, str, str]]:
    """Every cause for one module: its name, how it stands (a severity, ``no`` or ``unknown``), why it is unknown.

    Nothing was looked for in a module that was not measured.
    """
    one = data.of(module)
    if one is None or one.error is None:
        return []
    found = {finding.cause: finding.severity for finding in data.findings if finding.module == module}
    checks = []
    for cause in CAUSES:
        state = found.get(cause) or ("unknown" if cause in data.untested else "no")  # type: ignore[call-overload]
        checks.append((cause, state, data.untested.get(cause, "") if state == "unknown" else ""))
    return checks


# -- what if


METHODS = ("wanda", "sparsegpt", "descent", "alps", "magnitude")
"""What can decide a block by itself."""


def setting_words(setting: Mapping[str, Any]) -> str:
    """A setting to try, as a clause: ``decided by Wanda, 4:8, from 64 windows``."""
    if setting.get("dense"):
        told = ["left dense"]
    else:
        method = setting.get("method")
        told = [f"decided by {theme.method_style(str(method)).label}" if method else "decided once more"]
        if setting.get("pattern"):
            told.append(f"at {setting['pattern']}")
        if setting.get("samples"):
            told.append(f"from {setting['samples']} windows")
    if setting.get("modules") is None:
        told.append(f"all of block {setting.get('block')}")
    return ", ".join(told)


Outcome = Literal["better", "worse", "unclear"]


def outcome(answer: Mapping[str, Any]) -> Outcome:
    """Whether the loss became smaller or larger beyond chance."""
    difference = answer["difference"]
    if difference["high"] < 0:
        return "better"
    return "worse" if difference["low"] > 0 else "unclear"


OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "better": ("▼", "better"),
    "worse": ("▲", "worse"),
    "unclear": ("○", "no difference beyond chance"),
}


def effect_words(trial: Trial) -> list[tuple[str, str]]:
    """What an answer says, as label and value."""
    answer = trial.answer
    assert answer is not None
    before, after, dense = answer["before"], answer["after"], answer["dense"]
    difference = answer["difference"]
    share = answer["kl_recovered"] / before["kl"] if before["kl"] > 0 else math.nan
    told = [
        (
            "KL to dense",
            f"{theme.fmt_number(before['kl'])} → {theme.fmt_number(after['kl'])} nats per token"
            + (f" ({theme.fmt_share(share)} of it comes back)" if share > 0 else ""),
        ),
        (
            "perplexity",
            f"{theme.fmt_number(before['perplexity'])} → {theme.fmt_number(after['perplexity'])} "
            f"(dense {theme.fmt_number(dense['perplexity'])})",
        ),
        (
            "loss",
            f"{theme.fmt_signed(difference['nats'], 3)} nats per token, 95 % interval "
            f"{theme.fmt_signed(difference['low'], 3)} to {theme.fmt_signed(difference['high'], 3)}",
        ),
    ]
    own = next((row for row in answer["modules"] if row["module"] == trial.module), None)
    if own is not None and not trial.setting.get("dense"):
        error, name = ("error_heldout", "its held-out error")
        if own.get("error_heldout_before") is None:
            error, name = ("error", "its error")
        change = f"{theme.fmt_error(own[f'{error}_before'])} → {theme.fmt_error(own[f'{error}_after'])}"
        told.append((name, f"{change}; {theme.fmt_share(own['weights_changed'])} of its mask changed"))
    return told


def basis_of(trial: Trial) -> str:
    """On what an answer stands."""
    answer = trial.answer
    assert answer is not None
    setting = answer["setting"]
    stands = ""
    if setting.get("stands_in_for"):
        label = theme.method_style(str(setting["stands_in_for"])).label
        stands = f"; coordinate descent stands in for {label}, which needs the whole model"
    return (
        f"mask-only, {answer['windows']} windows, {theme.fmt_count(answer['tokens'])} tokens, "
        f"{theme.fmt_seconds(answer['seconds'])}{stands}"
    )


def trial_line(trial: Trial) -> str:
    """One trial in one line of text."""
    what = f"{theme.shown_name(trial.module)} {setting_words(trial.setting)}"
    if trial.state == "done":
        assert trial.answer is not None
        facts = "; ".join(f"{label} {value}" for label, value in effect_words(trial))
        return f"{what}: {OUTCOMES[outcome(trial.answer)][1]}. {facts} ({basis_of(trial)})"
    words = {
        "asking": trial.progress or "waiting",
        "failed": f"failed: {trial.error}",
        "cancelled": "cancelled",
    }
    return f"{what}: {words[trial.state]}"


# -- the text


def text(data: FindingsData) -> str:
    """The view in words."""
    lines = [
        f"{theme.shown_name(data.run)}, event {data.seq}: {headline(data)}",
        *filter(None, (honesty(data), damage_note(data))),
    ]
    if data.modules:
        lines.append(f"{len(data.rows)} of {len(data.modules)} modules, {data.order.label}:")
        lines += [_row_line(place, one) for place, one in data.rows]
    lines += _focus_lines(data)
    trials = [trial_line(trial) for trial in data.trials]
    if trials:
        lines += ["what if (end to end, on the recorded run):", *(f"  {line}" for line in trials)]
    elif data.cannot_try and data.modules:
        lines.append(f"what if: {data.cannot_try}")
    return "\n".join(lines)


def _row_line(place: int, one: Ranked) -> str:
    severity = f"{SEVERITY_WORDS[one.severity]}, " if one.severity else ""
    times = theme.NONE if one.times is None else theme.fmt_ratio(one.times)
    return (
        f"  {place}. {theme.shown_name(one.module)}: {severity}{cause_of(one)}; damage {damage_of(one)}, "
        f"error {theme.fmt_error(one.error)}, {times} the trend"
    )


def _focus_lines(data: FindingsData) -> list[str]:
    if data.focus is None:
        return []
    name, one = theme.shown_name(data.focus), data.of(data.focus)
    if one is None and not data.focused:
        return [f"{name}: {data.focus_note}"]
    lines = [f"{name}:"]
    if one is not None:
        lines[0] += f" {', '.join(f'{label} {value}' for label, value in standing_of(data, one))}"
    for finding in data.focused:
        gauge = gauge_of(finding, data.method)
        numbers = [(label, gauge.form(value)) for label, value, _ in gauge.rows] if gauge is not None else []
        held = f"{gauge.title}: {_pairs(numbers)}. " if gauge is not None else ""
        said = theme.shown_name(finding.sentence, 600)
        lines.append(f"  {SEVERITY_WORDS[finding.severity]}, {finding.cause}: {said}")
        evidence = evidence_of(finding, gauge)
        if held or evidence:
            lines.append(f"    {held}{_pairs(evidence)}")
        lines.append(f"    what to do: {finding.remedy}")
    if not data.focused:
        lines.append(f"  {data.focus_note}")
    checks = checks_of(data, data.focus)
    absent = [cause for cause, state, _ in checks if state == "no"]
    if absent:
        lines.append(f"  looked for and not found: {', '.join(absent)}")
    for cause, state, why in checks:
        if state == "unknown":
            lines.append(f"  not looked for, {cause}: {why}")
    return lines


def _pairs(numbers: list[tuple[str, str]]) -> str:
    return ", ".join(f"{label} {value}" for label, value in numbers)
