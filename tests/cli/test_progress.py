"""Events as progress: what a person reads on a terminal and in a log file."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from hyperprune_lab.cli.progress import ProgressView, introduction, left_dense
from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    CheckpointReached,
    EvaluationFinished,
    ModuleDecided,
    Notice,
    RunStarted,
    RunStopped,
    StageFinished,
    StageStarted,
    StepMeasured,
)


def row(name, parameters, status="dense", reason="embedding"):
    return {"name": name, "block": 0, "parameters": parameters, "status": status, "reason": reason}


COVERAGE = [
    row("embed", 300_000),
    row("layers.0.q", 600_000, "pruned", "keeps 2 of every 4 (2:4)"),
    row("layers.1.q", 100_000, "pruned", "keeps 2 of every 4 (2:4)"),
    row("norm", 10, reason="norm"),
    row("norm2", 20, reason="norm"),
]
STARTED = RunStarted(
    {"method": "wanda", "pattern": "2:4", "model": "demo"}, {}, {"name": "demo"}, {}, COVERAGE, ["layers"]
)


def decided(module, error, wanda=None):
    scalars = {"error_rel": error} | ({} if wanda is None else {"error_rel_wanda": wanda})
    return ModuleDecided("layers", 0, module, "2:4", np.ones((1, 4), dtype=bool), scalars)


RUN = [
    STARTED,
    StageStarted("layers", 2),
    BlockStarted("layers", 0),
    StepMeasured("layers", 0, 0, 10, {"loss": 0.5}),
    decided("a", 0.10, 0.20),
    decided("b", 0.30, 0.40),
    BlockFinished("layers", 0, 1.5, 10),
    BlockStarted("layers", 1),
    decided("b", 0.20, 0.40),
    BlockFinished("layers", 1, 1.5, 10),
    CheckpointReached("layers", 1, {}, {}),
    StageFinished("layers", 150.0),
    StageStarted("model", 0, 5),
    StepMeasured("model", None, 4, 5, {"loss": 0.1}),
    StageFinished("model", 1.0, {"error_rel_mean": 0.1234}),
    EvaluationFinished("mask-only", "story", {"perplexity": 12.345}),
    Notice("warning", "few [tokens]", "layers.0.q"),
    RunStopped("on request"),
]


def shown(terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=140, color_system=None)
    with ProgressView(console) as view:
        for event in RUN:
            view.show(event)
    return stream.getvalue()


def test_a_log_has_a_line_for_each_block_with_the_quality_so_far():
    lines = shown(terminal=False).splitlines()
    assert "  block 1/2, 1.5 s, mean error 0.2000 (Wanda 0.3000)" in lines
    assert "  block 2/2, 1.5 s, mean error 0.1500 (Wanda 0.3000)" in lines
    assert "  layers took 2.5 min" in lines
    assert "  model took 1.0 s, mean error 0.1234" in lines
    assert "  mask-only on story: perplexity 12.35" in lines
    assert "  warning: layers.0.q: few [tokens]" in lines
    assert "Stopped: on request" in lines
    assert not any("━" in line or "\x1b" in line for line in lines)


def test_a_terminal_gets_bars_that_go_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = shown(terminal=True)
    clear_line = "\x1b[2K"
    assert "0/2" in text.replace(" ", "")
    assert clear_line in text.splitlines()[-1]
    assert "block 1/2" not in text
    assert "layers took 2.5 min" in text


def test_wanda_is_named_only_where_it_is_known_for_all_modules():
    stream = io.StringIO()
    with ProgressView(Console(file=stream)) as view:
        for event in (STARTED, StageStarted("s", 1), decided("a", 0.1, 0.2), decided("b", 0.3)):
            view.show(event)
        view.show(StageFinished("s", 1.0))
    assert "mean error 0.2000\n" in stream.getvalue()


def test_the_introduction_counts_what_is_pruned_and_says_why_the_rest_is_not():
    assert introduction(STARTED).splitlines() == [
        "wanda at 2:4 on demo: 2 matrices, 700.0 k of 1.0 M parameters (70%)",
        "  left as it is: embed, 300.0 k: embedding",
        "  left as it is: 2 tensors, 30: norm",
    ]


def test_every_dense_parameter_is_in_exactly_one_reason():
    assert len(left_dense(COVERAGE)) == 2
    assert left_dense([]) == []
