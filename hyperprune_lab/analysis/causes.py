"""What can be wrong with a linear: each cause with its test, its evidence, its words and its remedy.

Knows nothing about how findings are ranked or shown. A test looks at one linear's symptoms and says nothing, or how bad
it is: ``failure`` (something is broken), ``warning`` (worth mending) or ``note`` (good to know).

=======================  =======================================================================  =====================
cause                    failure                                                                  warning
=======================  =======================================================================  =====================
wrong axis               its choices follow no score (standing < 0.25) though they were made up,
                         or they follow the transposed weight
unconverged              entropy of choices > 0.9                                                 > 0.6
too few tokens           fewer tokens than channels, and held-out error > 1.4 times               one of both, or an
                                                                                                  ill-conditioned H
calibration mismatch     held-out error > 2 times, with tokens enough                             > 1.5 times
lost outlier channels    loud channels keep 0.4 less than Wanda keeps, and error > 1.4 of Wanda's 0.25 less, > 1.15
dead channels            –                                                                        dead, live held out
forgetting               –                                                                        > 0.3 of its groups
                                                                                                  changed, error > 1.3
inherited error          – (a note: the fault lies upstream)                                      –
above the trend          –                                                                        error > 2 times
=======================  =======================================================================  =====================

In 224 linears of sound runs (Wanda, SparseGPT, HyperPrune; embedded model) held-out error was at most 1.30 times the
calibration error, standing at least 0.89, error over trend at most 1.36, and loud channels kept at most 0.20 less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hyperprune_lab.analysis.symptoms import Symptoms

Severity = Literal["failure", "warning", "note"]
Cause = Literal[
    "wrong axis",
    "unconverged",
    "too few tokens",
    "calibration mismatch",
    "lost outlier channels",
    "dead channels",
    "forgetting",
    "inherited error",
    "above the trend",
    "sensitive",
    "not finite",
]
ILL_CONDITIONED = 1e6
_FEW_HELDOUT = 64


@dataclass(frozen=True)
class Surroundings:
    """What a test must know besides the linear itself.

    ``usual_gap`` is the run's median of held-out over calibration error; ``heldout_tokens`` how many it is measured on.
    """

    method: str
    usual_gap: float = 1.0
    heldout_tokens: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What a test found. ``strength`` is the symptom over its threshold; ``what_if`` are settings to try instead."""

    cause: Cause
    severity: Severity
    strength: float
    sentence: str
    remedy: str
    evidence: dict[str, float]
    links: tuple[tuple[str, str], ...]
    what_if: dict[str, Any] = field(default_factory=dict)


Test = Callable[[Symptoms, Surroundings], Verdict | None]


def wrong_axis(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """Choices that follow no score of this weight as it lies, though the method had made up its mind."""
    if one.standing is None or (one.undecided is not None and one.undecided > 0.9):
        return None
    turned = one.across is not None and one.across > 0.15 and one.across > 3 * abs(one.along or 0.0)
    if one.standing >= (0.5 if turned else 0.25):
        return None
    evidence = _evidence(one, "kept_score", "kept_score_wanda", "agreement_wanda", "along", "across")
    evidence["chance"] = one.pattern.density
    kept = f"It keeps {_share(one.kept_score)} of Wanda's score, a random mask {_share(one.pattern.density)}"
    if turned and one.across is not None:
        how = (
            f"; its mask follows the size of the transposed weight (correlation {one.across:.2f}) and not that of "
            f"the weight as it lies ({one.along or 0.0:.2f})."
        )
        strength = 2.0 + one.across
    else:
        how = ", though its choices are not open: rows and columns, or groups, were mixed up."
        strength = 2.0 - one.standing
    return Verdict(
        "wrong axis",
        "failure",
        strength,
        kept + how,
        "Group along the input dimension: check whether this layer stores its weight as [in, out], and that scores "
        "are laid out like the weight.",
        evidence,
        (("mask", "agreement_wanda"), ("map", "kept_score")),
        {"method": "wanda"},
    )


def unconverged(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """Choices that are still open."""
    if one.undecided is None or one.undecided <= 0.6:
        return None
    failed = one.undecided > 0.9
    how = "its patterns were all but drawn by lot" if failed else "many of its choices are still open"
    return Verdict(
        "unconverged",
        "failure" if failed else "warning",
        one.undecided / (0.9 if failed else 0.6),
        f"The entropy of its choices is {one.undecided:.2f} of the largest possible: {how}.",
        "Give it more steps (a larger budget), a lower final temperature, or a prior to start from.",
        _evidence(one, "undecided", "agreement_wanda", "standing"),
        (("hypernetwork", "entropy"), ("mask", "agreement_wanda")),
        {"method": "descent"},
    )


def too_few_tokens(one: Symptoms, around: Surroundings) -> Verdict | None:
    """An H that is of too low rank, or too ill-conditioned, to decide from."""
    per_channel = one.tokens_per_channel
    if per_channel is None or one.dead:
        return None
    lacking = per_channel < 1.0
    ill = one.condition is not None and one.condition > ILL_CONDITIONED
    apart = one.gap is not None and one.gap > 1.4 * max(1.0, around.usual_gap)
    thin = per_channel < 2.0
    if not (lacking or (apart and (thin or ill)) or thin or ill):
        return None
    severity: Severity = "note"
    if lacking and apart:
        severity = "failure"
    elif lacking or (apart and (thin or ill)):
        severity = "warning"
    if around.method == "magnitude":
        severity = "note"  # its masks do not depend on H, only what is measured of them does
    tokens = f"{one.tokens:.0f} tokens for {one.shape[1]} channels"
    trust = "" if one.gap is None else f" (held-out error is {one.gap:.3g} times the calibration error)"
    condition = "singular" if one.condition == math.inf else f"ill-conditioned ({one.condition:.1e})"
    shape = "its statistics cannot have full rank" if lacking else "its statistics are ill-conditioned"
    return Verdict(
        "too few tokens",
        severity,
        max(1.0 / max(per_channel, 1e-6), 1.0) if lacking or thin else 1.0,
        f"Only {tokens}: {shape}, and the mask fits what was seen, not what there is{trust}."
        if lacking or thin
        else f"H is {condition}{trust}.",
        "Calibrate on more windows or longer ones; for experts of a mixture, see that each gets its share of tokens.",
        _evidence(one, "tokens", "tokens_per_channel", "condition", "error", "error_heldout", "gap"),
        (("reconstruction", "held_out"), ("outliers", "channel_rms")),
        {"method": "descent", "samples": 64},
    )


def calibration_mismatch(one: Symptoms, around: Surroundings) -> Verdict | None:
    """Statistics of another text than the model will read."""
    gap, per_channel = one.gap, one.tokens_per_channel
    if gap is None or (per_channel is not None and per_channel < 2.0):
        return None
    # A held-out set of few tokens scatters by itself.
    scatter = 2.0 if around.heldout_tokens is not None and around.heldout_tokens < _FEW_HELDOUT else 1.0
    beyond = gap / max(1.0, around.usual_gap)
    if beyond <= 1.5 * scatter:
        return None
    shift = "" if one.shift is None else f"; channels differ by {one.shift:.2f} in the logarithm of their RMS"
    return Verdict(
        "calibration mismatch",
        "failure" if beyond > 2.0 * scatter else "warning",
        beyond / (1.5 * scatter),
        f"Its error on held-out text is {gap:.2f} times that on calibration text "
        f"(usual in this run: {around.usual_gap:.2f}){shift}: it was tuned to another kind of text.",
        "Calibrate on text like that which the model will read; mix sources, and keep documents whole.",
        _evidence(one, "error", "error_heldout", "gap", "shift") | {"usual_gap": around.usual_gap},
        (("reconstruction", "held_out"), ("outliers", "channel_rms_heldout")),
        {"method": "descent", "samples": 48},
    )


def lost_outlier_channels(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """Loud channels pruned like any other, at a price."""
    if not one.outliers or one.outliers_kept is None or one.outliers_kept_wanda is None:
        return None
    if one.error is None or not one.error_wanda or (one.standing is not None and one.standing < 0.25):
        return None
    lost, price = one.outliers_kept_wanda - one.outliers_kept, one.error / one.error_wanda
    if lost <= 0.25 or price <= 1.15:
        return None
    noun = "channel is" if one.outliers == 1 else "channels are"
    return Verdict(
        "lost outlier channels",
        "failure" if lost > 0.4 and price > 1.4 else "warning",
        lost / 0.25,
        f"{one.outliers} input {noun} at least 6 times as loud as most; {_share(one.outliers_kept)} of their weights "
        f"are kept (Wanda: {_share(one.outliers_kept_wanda)}), and the error is {price:.2f} times Wanda's.",
        "Score weights by the activations that they meet (Wanda), or raise the weight of the outlier term, λ1.",
        _evidence(
            one, "outliers", "outliers_kept", "outliers_kept_wanda", "outliers_share", "error", "error_wanda"
        )
        | {"price": price},
        (("outliers", "keep_rate"), ("mask", "keep_rate")),
        {"method": "wanda"},
    )


def dead_channels(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """Channels that were zero on every calibration token."""
    if not one.dead:
        return None
    revived = one.revived or 0
    noun = "channel was" if one.dead == 1 else "channels were"
    alive = f", {revived} of them alive on held-out text" if revived else ""
    return Verdict(
        "dead channels",
        "warning" if revived else "note",
        max(1.0, revived / max(1, one.dead) * 2),
        f"{one.dead} of its {one.shape[1]} input {noun} zero on every calibration token{alive}: nothing is known of "
        "what their weights are worth.",
        "Calibrate on more, and more varied, text; channels that stay dead can be pruned for nothing.",
        _evidence(one, "dead", "revived", "tokens"),
        (("outliers", "channel_rms"), ("mask", "keep_rate")),
        {"samples": 64},
    )


def forgetting(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """A network that no longer knows what it decided here; the stored mask is not concerned."""
    if one.forgotten is None or one.forgotten <= 0.3:
        return None
    worse = one.forgotten_times is not None and one.forgotten_times > 1.3
    times = "" if one.forgotten_times is None else f", at {one.forgotten_times:.2f} times the error"
    return Verdict(
        "forgetting",
        "warning" if worse else "note",
        one.forgotten / 0.3,
        f"Asked again, the network would decide {_share(one.forgotten)} of the groups of block {one.block} "
        f"otherwise{times}. The stored masks are as they were decided.",
        "Raise the weight of the continual term, λ2, or keep the stored masks and do not regenerate them.",
        _evidence(one, "forgotten", "forgotten_times"),
        (("forgetting", "changed"), ("hypernetwork", "embeddings")),
    )


def inherited_error(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """An input that is already wrong, beyond what depth explains, while the linear's own mask is fine."""
    if one.inherited_times is None or one.inherited is None or one.own is None:
        return None
    fine = one.times is None or one.times < 1.3
    if one.inherited_times <= 1.24 or one.inherited <= 2 * one.own or not fine:
        return None
    return Verdict(
        "inherited error",
        "note",
        one.inherited_times / 1.24,
        f"Most of its error comes with its input ({one.inherited:.2f} against {one.own:.2f} of its own), "
        f"{one.inherited_times:.2f} times what its depth explains: look upstream.",
        "Mend the modules before it; then prune it again on the mended input.",
        _evidence(one, "inherited", "own", "total", "inherited_times", "times"),
        (("reconstruction", "parts"), ("map", "error_rel_inherited")),
    )


def above_trend(one: Symptoms, _around: Surroundings) -> Verdict | None:
    """An error that its depth and kind do not explain."""
    if one.times is None or one.times <= 1.5:
        return None
    return Verdict(
        "above the trend",
        "warning" if one.times > 2.0 else "note",
        one.times / 1.5,
        f"Its error is {one.times:.2f} times what other {one.panel} of this run lead one to expect at its depth.",
        "Look at its mask and its rows; try another pattern or leave it dense.",
        _evidence(one, "error", "error_heldout", "times"),
        (("reconstruction", "error_rel"), ("mask", "agreement_wanda")),
        {"method": "descent"},
    )


def sensitive(one: Symptoms) -> Verdict:
    """Nothing is wrong with it; the model leans on it."""
    assert one.damage is not None
    return Verdict(
        "sensitive",
        "note",
        1.0,
        f"No fault was found; the model leans on it: {one.damage:.3f} nats per token come back when it alone is dense.",
        "If the loss matters, leave it dense or give it a milder pattern, and prune more where it costs nothing.",
        _evidence(one, "damage", "damage_se", "error", "times"),
        (("map", "damage_kl"), ("reconstruction", "error_rel")),
        {"dense": True},
    )


TESTS: tuple[Test, ...] = (
    wrong_axis,
    unconverged,
    too_few_tokens,
    calibration_mismatch,
    lost_outlier_channels,
    dead_channels,
    forgetting,
    inherited_error,
    above_trend,
)
"""In the order in which they explain: what comes first explains what comes after it."""


def _evidence(one: Symptoms, *names: str) -> dict[str, float]:
    """The numbers that are known, by name."""
    values = {name: getattr(one, name) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None}


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
