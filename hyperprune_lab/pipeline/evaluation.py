"""Perplexity of a model, or of what a run has made of one, by the field's protocol.

Knows nothing about how masks and weights came about; for the suite of a run at work see ``examine``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from hyperprune_lab.calibration.windows import choose_window
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.suite import EvaluationSuite, Measurement, measure
from hyperprune_lab.evaluate.texts import evaluation_texts, evaluation_windows
from hyperprune_lab.models.open import OpenModel, open_model
from hyperprune_lab.pipeline.budget import windows_read
from hyperprune_lab.pipeline.environment import choose_device
from hyperprune_lab.pipeline.recorded import RecordedRun, Weights, is_run


def evaluate_target(
    target: str,
    text: Path | None = None,
    weights: str | None = None,
    device: str | None = None,
    window: int | None = None,
) -> dict[str, Any]:
    """Perplexity with its protocol: ``target, weights, perplexity, nats, tokens, windows, window, protocol, domains``.

    ``target`` is a model or the folder of a run. Of a run, ``weights`` are ``dense``, ``mask-only`` or ``compensated``
    (None: the last that it has), and text and window are the run's own where none is given, so that the figure is
    comparable with those in its record. Raises ``UserError``.
    """
    wanted = _known(weights)
    named = None if text is None else str(text)
    if not is_run(target):
        if wanted not in (None, "dense"):
            raise UserError(f"{target} is a model, which has no {wanted} weights: name the folder of a run.")
        opened = open_model(target, device=str(choose_device(device or "auto")))
        return _answer(target, "dense", measured(opened, named, window))
    run = RecordedRun.open(target, device)
    chosen = wanted or run.last_weights
    masks, values = run.worn(chosen)
    with run.subject.wearing(masks, values):
        found = measured(
            run.subject.opened,
            named or run.config.eval_text,
            window or run.config.calibration.window,
            run.windows if named is None else None,
        )
    return _answer(target, chosen, found)


def _known(weights: str | None) -> Weights | None:
    if weights is None:
        return None
    for known in get_args(Weights):
        if weights == known:
            return known
    raise UserError(f"weights {weights!r}: choose one of {', '.join(get_args(Weights))}")


def measured(opened: OpenModel, text: str | None, window: int | None, most: int | None = None) -> Measurement:
    """The model as it now stands, on a text (None: the embedded ones); raises ``UserError`` as windows do.

    ``most`` is how many windows of each domain are read (None: all).
    """
    windows = evaluation_windows(
        evaluation_texts(text), opened.tokenizer, choose_window(window, opened.context)
    )
    return measure(opened.model, opened.tokenizer, EvaluationSuite(windows_read(windows, most)))


def _answer(target: str, weights: Weights, found: Measurement) -> dict[str, Any]:
    domains = {name: part.perplexity for name, part in found.domains.items()}
    return {"target": target, "weights": weights, **asdict(found.overall), "domains": domains}
