"""The charts of notebook 09: what the record holds about one module, beside the others; and remedies tried on it.

Knows nothing about which answer is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from textwrap import fill
from typing import Any

from hyperprune_lab.analysis.diagnosis import Diagnosis, diagnose
from hyperprune_lab.analysis.symptoms import Symptoms, symptoms
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run
from hyperprune_lab.teaching.pictures import picture
from hyperprune_lab.views import theme
from hyperprune_lab.widgets.findings import Findings

PALETTE = theme.PALETTES["light"]
PATIENCE_SECONDS = 60.0
_LINE = 100

_Value = Callable[[Symptoms], float | None]
_LINES: tuple[tuple[str, _Value, str], ...] = (
    ("error on calibration text", lambda one: one.error, ".4f"),
    ("error on held-out text", lambda one: one.error_heldout, ".4f"),
    ("error of Wanda's mask", lambda one: one.error_wanda, ".4f"),
    ("entropy of its choices", lambda one: one.undecided, ".2f"),
    ("Wanda's score that it keeps", lambda one: one.kept_score, ".0%"),
    ("groups decided as by Wanda", lambda one: one.agreement_wanda, ".0%"),
    ("groups decided as by magnitude", lambda one: one.agreement_magnitude, ".0%"),
    ("loud inputs (6 × the median)", lambda one: one.outliers, ".0f"),
    ("  their weights kept", lambda one: one.outliers_kept, ".0%"),
    ("  ... by Wanda's mask", lambda one: one.outliers_kept_wanda, ".0%"),
    ("tokens per input channel", lambda one: one.tokens_per_channel, ".2g"),
)


class Ward:
    """The run and everything that was measured of its modules."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.all = {one.module: one for one in symptoms(run)}
        self.diagnosis: Diagnosis = diagnose(run)

    def chart(self, module: str) -> None:
        """Print what was measured of a module, beside the median of its kind in the other blocks."""
        patient = self.all[module]
        kind = [one for one in self.all.values() if one.panel == patient.panel and one is not patient]
        outputs, inputs = patient.shape
        print(f"{module}, {outputs} × {inputs}")
        print(f"{'':32}{'patient':>8}{'its kind':>12}")
        for name, value, form in _LINES:
            usual = [number for one in kind if (number := value(one)) is not None]
            print(
                f"{name:32}{_told(value(patient), form):>8}{_told(median(usual), form) if usual else '–':>12}"
            )

    def diagnose(self, module: str) -> None:
        """Print what Findings says of a module."""
        finding = self.diagnosis.of(module)[0]
        print(f"{finding.module}: {finding.cause}")
        print(fill(finding.sentence, _LINE))
        print(f"Damage: {finding.damage:.3f} ± {2 * (finding.damage_se or 0.0):.3f} nats per token.")

    def rank(self, module: str) -> int:
        """Its place among all modules by error on the calibration text, the largest first."""
        order = sorted(self.all.values(), key=lambda one: -(one.error or 0.0))
        return [one.module for one in order].index(module) + 1

    def among(self, module: str, label: str, value: _Value, log: bool = False) -> None:
        """One symptom of all modules over depth, with the patient ringed."""
        known = [(one, number) for one in self.all.values() if (number := value(one)) is not None]
        patient = value(self.all[module])
        assert patient is not None
        others = median(number for one, number in known if one.module != module)
        says = (
            f"{label} of {len(known)} modules over blocks 0 to 7. {module} stands at {patient:.2g}; the median of the "
            f"others is {others:.2g}."
        )
        with picture(230, says) as figure:
            axes = figure.subplots()
            axes.scatter(
                [_place(one, self.all) for one, _ in known],
                [number for _, number in known],
                color=PALETTE.soft,
                s=22,
                linewidths=0,
            )
            place = _place(self.all[module], self.all)
            axes.scatter(
                [place], [patient], s=120, facecolors="none", edgecolors=PALETTE.accent, linewidths=2
            )
            beside = (-12, "right") if place > 5 else (12, "left")
            axes.annotate(
                f"{self.all[module].local}: {patient:.2g}",
                (place, patient),
                xytext=(beside[0], 0),
                textcoords="offset points",
                ha=beside[1],
                va="center",
                color=PALETTE.accent,
                fontweight="bold",
            )
            if log:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(theme.fmt_tick)
                axes.minorticks_off()
            axes.margins(y=0.18)
            axes.set_title(label)
            axes.set(xlabel="block", xticks=range(1 + max(one.block for one, _ in known)))


def treat(findings: Findings, module: str) -> dict[str, Any] | None:
    """Try the remedy of a module: only it is pruned again, and the model is run to its end. None without torch.

    Raises:
        UserError: the trial failed, or was not over in a minute.
    """
    try:
        trial = findings.what_if(module)
    except UserError as error:
        print(error)
        return None
    if not trial.wait(PATIENCE_SECONDS) or trial.answer is None:
        raise UserError(trial.error or "The trial took more than a minute: run the cell again.")
    answer = trial.answer
    setting, difference, (pruned,) = answer["setting"], answer["difference"], answer["modules"]
    how = "made dense" if setting["dense"] else f"pruned again by {setting['method']}"
    print(f"{module}, {how}, {setting['samples']} windows of calibration text, {answer['seconds']:.0f} s:")
    print(f"  its error on held-out text     {_change(pruned, 'error_heldout')}")
    print(
        f"  KL to the dense model          {answer['before']['kl']:.3f} → {answer['after']['kl']:.3f} nats per token"
    )
    low, high = difference["low"], difference["high"]
    print(f"  loss of the model              {difference['nats']:+.3f}, between {low:+.3f} and {high:+.3f}")
    return answer


def helped(answer: dict[str, Any] | None) -> bool:
    """Whether the remedy brought the model closer to the dense one; without an answer there is nothing to hold."""
    return answer is None or answer["after"]["kl"] < answer["before"]["kl"]


def _change(pruned: dict[str, float], name: str) -> str:
    return f"{pruned[f'{name}_before']:.3f} → {pruned[f'{name}_after']:.3f}"


def _place(one: Symptoms, everybody: dict[str, Symptoms]) -> float:
    """The block, with its modules side by side."""
    inside = [other.module for other in everybody.values() if other.block == one.block]
    return one.block + 0.7 * ((inside.index(one.module) + 0.5) / len(inside) - 0.5)


def _told(value: float | None, form: str) -> str:
    return theme.NONE if value is None or not math.isfinite(value) else format(value, form)
