"""What a run is asked to do: one frozen object, complete enough to repeat the run.

Knows nothing about how any of it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.errors import UserError
from hyperprune_lab.hypernet.presets import PRESETS
from hyperprune_lab.patterns import NMPattern

Compensation = Literal["none", "linear", "block", "model"]
Prefix = Literal["auto", "dense", "pruned"]

_CHOICES = {
    "objective": ("mask-only", "compensated"),
    "budget": ("quick", "normal", "thorough"),
    "compensation": get_args(Compensation),
    "prefix": get_args(Prefix),
    "evidence": ("auto", "light", "full"),
}


@dataclass(frozen=True)
class RunConfig:
    """One run.

    ``preset`` None means ``lab`` for HyperPrune and nothing for other methods. ``overrides`` are pairs of a regular
    expression over module names and ``"dense"`` or another pattern; the last match wins. ``prefix`` says whether
    statistics come from the dense or the pruned model's activations (``auto``: the method's own default).
    ``None`` means the preset's weights and the budget's residual logits; ``calibration`` None means 128 sequences, or
    24 at the budget ``quick``; ``damage`` says whether functional damage is measured at the end (None: unless the
    budget is ``quick``). Raises ``UserError`` for values out of range.
    """

    model: str = "demo"
    method: str = "hyperprune"
    preset: str | None = None
    pattern: str = "2:4"
    objective: str = "mask-only"
    budget: str = "normal"
    compensation: str = "block"
    seed: int = 0
    calibration: CalibrationConfig = None  # type: ignore[assignment]  # filled in below, by budget
    eval_text: str | None = None
    outlier_weight: float | None = None
    continual_weight: float | None = None
    residual_logits: bool | None = None
    prefix: str = "auto"
    device: str = "auto"
    dtype: str | None = None
    evidence: str = "auto"
    overrides: tuple[tuple[str, str], ...] = ()
    trust_remote_code: bool = False
    damage: bool | None = None

    def __post_init__(self) -> None:
        NMPattern.parse(self.pattern)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        for name in ("outlier_weight", "continual_weight"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"{name} {value}: a number of at least 0 is needed")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed {self.seed}: a number from 0 to 2147483647 is needed")
        if self.calibration is None:
            samples = default_samples(self.budget)
            object.__setattr__(self, "calibration", CalibrationConfig(samples=samples))
        if self.damage is None:
            object.__setattr__(self, "damage", self.budget != "quick")
        if self.method == "hyperprune" and self.preset is None:
            object.__setattr__(self, "preset", "lab")
        if self.preset is not None and self.preset not in PRESETS:
            raise UserError(f"unknown preset {self.preset!r}: choose one of {', '.join(PRESETS)}")
        if self.method != "hyperprune" and (self.preset is not None or self.residual_logits):
            raise UserError(
                f"presets and residual logits belong to hyperprune; {self.method} has none: leave them out"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values for the record."""
        return asdict(self) | {"overrides": [list(pair) for pair in self.overrides]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunConfig:
        """The inverse of :meth:`to_json`; an unknown key is a ``UserError`` that names it."""
        values = dict(values)
        calibration = dict(values.pop("calibration", None) or {})
        overrides = tuple((str(a), str(b)) for a, b in values.pop("overrides", ()))
        _refuse_unknown(values, cls)
        _refuse_unknown(calibration, CalibrationConfig)
        calibration.setdefault("samples", default_samples(str(values.get("budget", cls.budget))))
        return cls(**values, calibration=CalibrationConfig(**calibration), overrides=overrides)


def faults(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What :meth:`RunConfig.from_json` has against these values: (field, message), for every field that is at fault by
    itself, not only the first. Fields of the calibration are named ``calibration.samples`` and the like.
    """
    try:
        RunConfig.from_json(dict(values))
        return []
    except (UserError, TypeError, ValueError) as error:
        whole = str(error)
    found = []
    default = {"method": values.get("method", RunConfig.method)}
    for name, value in values.items():
        alone = {name: {name: value}}
        if name == "calibration" and isinstance(value, dict):
            alone = {f"calibration.{key}": {name: {key: inner}} for key, inner in value.items()}
        for part, changed in alone.items():
            try:
                RunConfig.from_json(default | changed)
            except UserError as error:
                found.append((part, str(error)))
            except (TypeError, ValueError):
                found.append((part, f"{value!r} is no value for {part}."))
    return found or [("preset" if "preset" in whole else "method", whole)]


def default_samples(budget: str) -> int:
    """Calibration sequences where none are asked for: 128, the field's usual number, or 24 when it has to be quick."""
    return 24 if budget == "quick" else 128


def _refuse_unknown(values: dict[str, Any], kind: type) -> None:
    known = {item.name for item in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"unknown configuration key {unknown[0]!r}; known keys: {', '.join(sorted(known))}")
