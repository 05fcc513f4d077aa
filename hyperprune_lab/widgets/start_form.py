"""The form for a new run: which settings there are, what they mean, and the configuration that they add up to.

Knows nothing about widgets or about how a run is carried out. Values are texts, as a person types them; an empty one
stands for the default.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from hyperprune_lab.errors import UserError
from hyperprune_lab.folders import EMBEDDED
from hyperprune_lab.methods.registry import method_names
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline.config import default_samples, faults
from hyperprune_lab.views.run_control import Field, Form, Rule
from hyperprune_lab.views.theme import method_style

LONGEST = 2000
"""Characters of a value; what is longer is cut."""
PATTERNS = ("1:4", "2:4", "4:8", "8:16")
DENSE = "dense"

_OWN = ("preset", "objective", "outlier_weight", "continual_weight")
"""Settings that only HyperPrune has."""
_IN_CALIBRATION = {"calibration_text": "text", "samples": "samples", "window": "window"}
_NUMBERS: Mapping[str, type[int] | type[float]] = {
    "outlier_weight": float,
    "continual_weight": float,
    "samples": int,
    "window": int,
    "seed": int,
}

_FIELDS = (
    Field("model", "Model", "row", "text", "", EMBEDDED, hint="demo, a hub name or a local folder"),
    Field("pattern", "Pattern", "row", "choice", "", "2:4", hint="how many weights of each group are kept"),
    Field(
        "method", "Method", "row", "choice", "", "hyperprune", hint="what chooses the weights that are kept"
    ),
    Field("budget", "Budget", "row", "choice", "", "quick", hint="how much work goes into it"),
    Field("preset", "Preset", "decide", "choice", "", "lab", hint="which version of HyperPrune"),
    Field(
        "objective",
        "Objective",
        "decide",
        "choice",
        "",
        "mask-only",
        hint="the quality that masks are chosen for",
    ),
    Field("outlier_weight", "λ1, outlier term", "decide", "number", "", hint="0 switches it off"),
    Field("continual_weight", "λ2, not forgetting", "decide", "number", "", hint="0 switches it off"),
    Field(
        "compensation", "Compensation", "run", "choice", "", "block", hint="what is refitted under the mask"
    ),
    Field(
        "calibration_text",
        "Calibration text",
        "data",
        "text",
        "",
        hint="a .txt or .jsonl file, or one of the named texts",
    ),
    Field("samples", "Windows", "data", "number", "", hint="how many sequences are read"),
    Field("window", "Tokens a window", "data", "number", "", hint="at most the model's context"),
    Field("seed", "Seed", "run", "number", "", "0", hint="of everything random"),
    Field("device", "Device", "run", "text", "", "auto", hint="auto, cpu, cuda, cuda:1 …"),
    Field("out", "Record in", "run", "text", "", hint="a folder that is not there yet"),
)
NAMES = tuple(one.name for one in _FIELDS)
FOLDED = tuple(one.name for one in _FIELDS if one.place != "row")
"""The settings that are shown only when asked for."""

_CHOICES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "budget": (("quick", "quick"), ("normal", "normal"), ("thorough", "thorough")),
    "preset": (("lab", "lab: ours"), ("paper", "paper: as published"), ("released", "released: as its code")),
    "objective": (("mask-only", "best as masks alone"), ("compensated", "best once refitted")),
    "compensation": (
        ("none", "none: masks alone"),
        ("linear", "linear: each matrix"),
        ("block", "block: each block"),
        ("model", "model: all at once"),
    ),
}
_TEXTS = ("stories", "wikitext2", "c4")
_DEVICES = ("auto", "cpu", "cuda")
# What the pipeline calls a field, where the form calls it otherwise.
_HERE = {f"calibration.{theirs}": name for name, theirs in _IN_CALIBRATION.items()}


@dataclass(frozen=True)
class Request:
    """A run as it is asked for: the values of a configuration, and the folder where a person named one."""

    settings: Mapping[str, Any]
    out: str = ""


def defaults() -> dict[str, str]:
    """What every field begins with."""
    return {one.name: one.default for one in _FIELDS}


def cleaned(value: object) -> str:
    """A value as text, whatever it was given as: None is empty, a number what a person would type."""
    return "" if value is None else str(value).strip()[:LONGEST]


def request_of(
    values: Mapping[str, str],
    expressions: Sequence[Sequence[str]] = (),
    scope: Mapping[str, str] | None = None,
) -> tuple[Request, dict[str, str]]:
    """What the form asks for, and what is wrong with it by field; a value that is no number is left out.

    ``expressions`` are pairs of a regular expression and what it asks for; ``scope`` is the map's, by module, and wins.
    """
    chosen = {name: values.get(name, "") or default for name, default in defaults().items()}
    wrong: dict[str, str] = {}
    settings: dict[str, Any] = {"damage": True, "calibration": {}}
    for name, value in chosen.items():
        if name == "out" or value == "" or (name in _OWN and chosen["method"] != "hyperprune"):
            continue
        read: Any = value
        if name in _NUMBERS:
            try:
                read = _NUMBERS[name](value.replace(",", "."))
            except ValueError:
                kind = "whole number" if _NUMBERS[name] is int else "number"
                wrong[name] = f"{value!r} is no {kind}."
                continue
        if name in _IN_CALIBRATION:
            settings["calibration"][_IN_CALIBRATION[name]] = read
        else:
            settings[name] = read
    settings["overrides"] = [[str(one), str(wanted)] for one, wanted in expressions]
    settings["overrides"] += [[f"^{re.escape(name)}$", wanted] for name, wanted in (scope or {}).items()]
    for expression, wanted in settings["overrides"]:
        if trouble := _fault_of_rule(expression, wanted):
            wrong["overrides"] = trouble
    for name, message in faults(settings):
        wrong.setdefault(_HERE.get(name, name), message)
    return Request(settings, chosen["out"]), wrong


def form_of(
    values: Mapping[str, str],
    expressions: Sequence[Sequence[str]] = (),
    scope: Mapping[str, str] | None = None,
    answer: Mapping[str, Any] | None = None,
    models: Iterable[str] = (),
    out: str = "",
) -> Form:
    """The form as it is shown; ``answer`` is that of a check of these very values, ``models`` are those of earlier
    runs, ``out`` is the folder that is taken where none is named.
    """
    _, wrong = request_of(values, expressions, scope)
    found = answer or {}
    for one in found.get("blockers", ()):
        wrong.setdefault(_HERE.get(str(one["field"]), str(one["field"])), str(one["message"]))
    minded = {
        _HERE.get(str(one["field"]), str(one["field"])): str(one["message"])
        for one in found.get("warnings", ())
    }
    method = values.get("method") or "hyperprune"
    fields = []
    for one in _FIELDS:
        value = values.get(one.name, "")
        fields.append(
            replace(
                one,
                value=value,
                default=one.default or _default_of(one.name, values, out),
                choices=_choices(one.name, value),
                suggestions=_suggestions(one.name, models),
                fault=wrong.pop(one.name, None),
                warning=minded.get(one.name),
                off=f"{method_style(method).label} has none"
                if one.name in _OWN and method != "hyperprune"
                else None,
            )
        )
    rules = [
        *_on_the_map(scope or {}),
        *(Rule("expression", str(one), str(wanted)) for one, wanted in expressions),
    ]
    return Form(tuple(fields), tuple(rules), tuple(wrong.items()), unable())


def code_of(request: Request) -> str:
    """Python that begins the same run."""
    lines = "".join(f"        {name!r}: {value!r},\n" for name, value in request.settings.items())
    return (
        "from hyperprune_lab.pipeline.config import RunConfig\n"
        "from hyperprune_lab.pipeline.launch import launch\n\n"
        f"config = RunConfig.from_json(\n    {{\n{lines}    }}\n)\n"
        f"launch(config, {request.out or 'runs/another'!r})\n"
    )


@cache
def unable() -> str | None:
    """Why no run can be made here; None where one can."""
    if find_spec("torch") is None:
        return "Runs are made where torch is installed; here their records can be read."
    return None


def _default_of(name: str, values: Mapping[str, str], out: str) -> str:
    match name:
        case "samples":
            return str(default_samples(values.get("budget") or "quick"))
        case "window":
            return "the context, at most 2048"
        case "calibration_text":
            return "stories and prose"
        case "outlier_weight" | "continual_weight":
            return "the preset's"
        case "out":
            return out
    return ""


def _choices(name: str, value: str) -> tuple[tuple[str, str], ...]:
    """What can be chosen; a value of one's own is among it."""
    if name == "pattern":
        known = [*PATTERNS, *([value] if value and value not in PATTERNS else [])]
        return tuple((text, _pattern_label(text)) for text in known)
    if name == "method":
        return tuple((text, method_style(text).label) for text in _methods())
    return _CHOICES.get(name, ())


@cache
def _methods() -> tuple[str, ...]:
    return ("hyperprune", *(name for name in method_names() if name != "hyperprune"))


def _pattern_label(text: str) -> str:
    try:
        return NMPattern.parse(text).describe()
    except UserError:
        return text


def _suggestions(name: str, models: Iterable[str]) -> tuple[str, ...]:
    match name:
        case "model":
            return tuple(dict.fromkeys([EMBEDDED, *models]))[:20]
        case "calibration_text":
            return _TEXTS
        case "device":
            return _DEVICES
    return ()


def _on_the_map(scope: Mapping[str, str]) -> list[Rule]:
    """The map's scope, modules that are to be treated alike in one rule."""
    alike: dict[str, list[str]] = defaultdict(list)
    for module, wanted in scope.items():
        alike[str(wanted)].append(module)
    return [
        Rule("map", names[0] if len(names) == 1 else f"{len(names)} modules on the map", wanted, tuple(names))
        for wanted, names in alike.items()
    ]


def _fault_of_rule(expression: str, wanted: str) -> str | None:
    try:
        re.compile(expression)
        if wanted != DENSE:
            NMPattern.parse(wanted)
    except re.error as error:
        return f"The override {expression!r} is no regular expression: {error}."
    except UserError as error:
        return str(error)
    return None
