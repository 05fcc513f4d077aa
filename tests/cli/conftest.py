"""A pipeline that only pretends: the command line is judged by what it hands over and makes of the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperprune_lab.events import Event, RunFinished

RESULT: dict[str, Any] = {
    "method": "hyperprune",
    "preset": "lab",
    "pattern": "2:4",
    "model": "demo",
    "dense_ppl": 10.0,
    "mask_only_ppl": 14.0,
    "compensated_ppl": 11.0,
    "published_ppl": None,
    "compensation": "block",
    "gap_closed_mask_only": 0.25,
    "gap_closed_compensated": 0.75,
    "prior_mask_only_ppl": 15.0,
    "prior_compensated_ppl": float("nan"),
    "changed_from_prior": 0.25,
    "groups_decided_by_hypernetwork": 1.0,
    "error_rel_mean": 0.05,
    "sparsity": 0.5,
    "violations": 0,
    "average_forgetting": 0.02,
    "stages_run": ["prune"],
    "seconds": 12.5,
    "peak_memory_bytes": 300 * 2**20,
    "run": "runs/here",
}


@dataclass
class FakePipeline:
    """What the commands call: it remembers what it was given and replays ``events``."""

    events: list[Event] = field(default_factory=lambda: [RunFinished(RESULT)])
    failure: BaseException | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    controls: list[Any] = field(default_factory=list)

    def stream(self, name: str, *given: Any, control: Any = None) -> Iterator[Event]:
        self.calls.append((name, given))
        self.controls.append(control)
        if self.failure is not None:
            raise self.failure
        yield from self.events


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """The pretended pipeline, in the place of the real one."""
    fake = FakePipeline()

    def launch(config: Any, out: Path, detach: bool = False) -> int:
        fake.calls.append(("launch", (config, out, detach)))
        return 4321

    modules: dict[str, dict[str, Any]] = {
        "pipeline.session": {
            "run_to_record": partial(fake.stream, "prune"),
            "resume_record": partial(fake.stream, "resume"),
        },
        "pipeline.launch": {"launch": launch},
        "pipeline.compare": {"compare": partial(fake.stream, "compare")},
    }
    for name, content in modules.items():
        module = ModuleType(f"hyperprune_lab.{name}")
        module.__path__ = []  # type: ignore[attr-defined]
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, f"hyperprune_lab.{name}", module)
    return fake


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put one pretended function in the place of a real one: ``offer("record.verify", verify=...)``."""

    def put(name: str, **content: Any) -> None:
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            full = ".".join(["hyperprune_lab", *parts[:depth]])
            module = ModuleType(full)
            module.__path__ = []  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, full, module)
        module.__dict__.update(content)

    return put


@pytest.fixture
def run() -> Any:
    """Call the command line: ``run("prune", "--json")`` gives exit code, stdout and stderr."""
    from hyperprune_lab.cli import app

    def call(*words: str) -> Any:
        wide = {"COLUMNS": "80", "TERM": "dumb"}
        return CliRunner().invoke(app, list(words), catch_exceptions=False, env=wide)

    return call
