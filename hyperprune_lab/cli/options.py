"""The options that describe a run, declared once, and the configuration that they add up to.

Knows no default of the pipeline: what is not given is left to RunConfig, so that each default has one place.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hyperprune_lab.errors import UserError

if TYPE_CHECKING:
    from hyperprune_lab.pipeline.config import RunConfig

_WHAT = "What to prune"
_HOW = "How HyperPrune decides"
_DATA = "Data"
_WHERE = "Where and how it runs"

Json = Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON on stdout.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the record; must not exist yet. Default: a new one in runs/."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        metavar="REGEX=n:m",
        help="Another pattern, or REGEX=dense, for the matrices whose names it finds; may be repeated.",
    ),
]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]

_IN_CALIBRATION = {"calibration_samples": "samples", "window": "window", "text": "text"}


def _option(panel: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel=panel)


@dataclass(frozen=True)
class RunOptions:
    """What a person chose; None means that RunConfig decides."""

    model: Annotated[
        str | None, _option(_WHAT, "A hub name, a local folder, or demo, the embedded model. Default: demo.")
    ] = None
    pattern: Annotated[str | None, _option(_WHAT, "n:m keeps n of every m weights. Default: 2:4.", "n:m")] = (
        None
    )
    override: Overrides = None
    compensation: Annotated[
        str | None,
        _option(_WHAT, "What is refitted under the mask: none, linear, block or model. Default: block."),
    ] = None
    preset: Annotated[str | None, _option(_HOW, "paper, released or lab. Default: lab.")] = None
    objective: Annotated[
        str | None, _option(_HOW, "Quality to choose masks for: mask-only or compensated.")
    ] = None
    budget: Annotated[str | None, _option(_HOW, "quick, normal or thorough. Default: normal.")] = None
    outlier_weight: Annotated[float | None, _option(_HOW, "λ1, the weight of the outlier term.")] = None
    continual_weight: Annotated[
        float | None, _option(_HOW, "λ2, the weight of not forgetting earlier blocks.")
    ] = None
    residual_logits: Annotated[
        bool | None,
        _option(_HOW, "Free logits per group on top of the network's. Default: with --budget thorough."),
    ] = None
    seed: Annotated[int | None, _option(_HOW, "Seed of everything random. Default: 0.")] = None
    calibration_samples: Annotated[
        int | None, _option(_DATA, "Number of calibration sequences. Default: 128; 24 with --budget quick.")
    ] = None
    window: Annotated[
        int | None, _option(_DATA, "Tokens per sequence. Default: the model's context, at most 2048.")
    ] = None
    text: Annotated[
        str | None,
        _option(
            _DATA,
            "Calibration text: a file, stories, wikitext2 or c4. Default: stories and prose, half each.",
        ),
    ] = None
    eval_text: Annotated[
        str | None, _option(_DATA, "Evaluation text, a .txt file. Default: the embedded texts.")
    ] = None
    device: Annotated[str | None, _option(_WHERE, "cpu, cuda, cuda:1 ... Default: the best there is.")] = None
    dtype: Annotated[str | None, _option(_WHERE, "float32, bfloat16 or float16. Default: as stored.")] = None
    evidence: Annotated[
        str | None, _option(_WHERE, "How much the record keeps for the views: light or full.")
    ] = None
    damage: Annotated[
        bool | None,
        typer.Option(
            "--damage/--no-damage",
            help="Measure at the end what restoring each module alone would recover. Default: unless quick.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    trust_remote_code: Trust = False
    config: Annotated[
        Path | None, _option(_WHERE, "A JSON file of settings by name; options given here win.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """The settings of the ``--config`` file, overlaid by the options that were given.

        Raises:
            UserError: the file is missing or is not one JSON object.
        """
        values: dict[str, Any] = (
            {"model": "demo"} if self.config is None else {"model": "demo", **_read(self.config)}
        )
        calibration = values.setdefault("calibration", {})
        if not isinstance(calibration, dict):
            raise UserError(f'{self.config}: calibration must be an object, such as {{"samples": 128}}.')
        for name, value in asdict(self).items():
            unasked = value is False and name == "trust_remote_code"
            if value is None or unasked or value == [] or name == "config":
                continue
            if name == "override":
                values["overrides"] = [*values.get("overrides", ()), *overrides(value)]
            elif name in _IN_CALIBRATION:
                calibration[_IN_CALIBRATION[name]] = value
            else:
                values[name] = value
        return values


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options of RunOptions; they reach it gathered in its first argument, ``given``."""
    hints = get_type_hints(RunOptions, include_extras=True)
    names = [option.name for option in fields(RunOptions)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(option.name, keyword, default=option.default, annotation=hints[option.name])
        for option in fields(RunOptions)
    ]
    own = [
        parameter.replace(kind=keyword)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "given"
    ]

    def wrapped(**values: Any) -> None:
        given = RunOptions(**{name: values.pop(name) for name in names})
        command(given, **values)

    wrapped.__name__ = command.__name__
    wrapped.__doc__ = command.__doc__
    wrapped.__annotations__ = {}
    wrapped.__signature__ = inspect.Signature(shared + own)  # type: ignore[attr-defined]
    return wrapped


def configuration(values: dict[str, Any]) -> RunConfig:
    """The RunConfig that ``values`` describe; an unknown name or an impossible value raises UserError."""
    from hyperprune_lab.pipeline.config import RunConfig

    try:
        return RunConfig.from_json(values)
    except (TypeError, ValueError) as error:
        raise UserError(f"A setting has a value of the wrong kind: {error}.") from None


def overrides(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a regular expression and what it asks for, from ``REGEX=dense`` or ``REGEX=n:m``.

    Raises:
        UserError: there is nothing on one side of the equals sign.
    """
    pairs = []
    for text in texts:
        expression, _, wanted = text.rpartition("=")
        if not expression or not wanted:
            raise UserError(f"The override {text!r} must look like 'mlp=4:8' or 'layers.0=dense'.")
        pairs.append((expression, wanted))
    return pairs


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no settings file {file}: check the path given to --config.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as settings (one JSON object): {error}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} holds a {type(values).__name__}, but settings are one JSON object.")
    return values
