"""Small runs that were evaluated on text: what every token cost is known, and so are its words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperprune_lab import events as ev
from hyperprune_lab.intervals import paired_interval
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter
from tests.widgets import tinyrun

STATES = {"mask-only": 0.5, "compensated": 0.3}
HOSTILE_WORDS = ("<b>x</b>", " $\\frac{1}{0}$", "\n", "é", "\u202e", " & 50%", "_", " end")
PROMPT = "Once upon"


@dataclass(frozen=True)
class Read:
    """How the run was evaluated. ``shift`` is what its masks cost beyond others', in nats a token."""

    name: str = "run"
    method: str = "wanda"
    seed: int = 0
    shift: float = 0.0
    noise: float = 0.4
    domains: tuple[str, ...] = ("story", "ledger")
    windows: int = 4
    window: int = 8
    model: str = "model-one"
    calibration: str = "text-one"
    text: str = "text"
    pattern: str = "2:4"
    compensation: str = "block"
    words: tuple[str, ...] = ("Ann", " had", " a", " cup", ".", "\n", "It", " fell")
    says: Mapping[str, str] = field(default_factory=lambda: {PROMPT: " a time there was"})
    blocks: int = 2
    locals_: tuple[str, ...] = (tinyrun.ATTENTION[0], tinyrun.MLP[1])
    evaluated: bool = True
    finished: bool = True

    def losses(self, state: str) -> dict[str, np.ndarray]:
        """Nats by domain ``[windows, window - 1]``; the dense ones are the same for all runs of one model."""
        found = {}
        for place, domain in enumerate(self.domains):
            shape = (self.windows, self.window - 1)
            dense = np.random.default_rng([place, len(self.model)]).gamma(2.0, 1.0, shape)
            if state != "dense":
                rng = np.random.default_rng([place, self.seed, len(state)])
                dense = dense + STATES[state] + self.shift + self.noise * rng.normal(size=shape)
            found[f"token_losses/{domain}"] = dense.astype(np.float32)
        return found

    def pieces(self) -> list[list[str]]:
        """The words of each window, token by token."""
        return [
            [self.words[(row + column) % len(self.words)] for column in range(self.window)]
            for row in range(self.windows)
        ]

    def scalars(self, state: str) -> dict[str, float]:
        every = np.concatenate([one.ravel() for one in self.losses(state).values()]).astype(float)
        dense = np.concatenate([one.ravel() for one in self.losses("dense").values()]).astype(float)
        found = {"nats": every.mean(), "perplexity": np.exp(every.mean()), "skill/a": 0.5, "skill/b": 0.7}
        if state != "dense":
            per_window = np.concatenate(
                [
                    (ours - theirs).astype(float).mean(axis=1)
                    for ours, theirs in zip(
                        self.losses(state).values(), self.losses("dense").values(), strict=True
                    )
                ]
            )
            _, low, high = paired_interval(per_window)
            found |= {"nats_lost": every.mean() - dense.mean(), "kl": 0.2, "top1_agreement": 0.8}
            found |= {"nats_lost_low": low or 0.0, "nats_lost_high": high or 0.0, "gap_closed": 0.4}
        return {name: float(value) for name, value in found.items()}

    def protocol(self) -> dict[str, Any]:
        return {
            "formula": "mean",
            "text": "+".join(self.domains),
            "text_sha256": [f"{self.text} {domain}" for domain in self.domains],
            "window": self.window,
            "tokens": self.windows * (self.window - 1) * len(self.domains),
            "tokenizer": {"sha256": "tokens"},
        }


def write(folder: Path, read: Read = Read()) -> Run:
    """The run ``folder / read.name``."""
    with RecordWriter.create(folder / read.name) as writer:
        for event in events(read):
            writer.write(event)
    return open_run(folder / read.name)


def events(read: Read = Read()) -> Iterator[ev.Event]:
    """Everything in the order in which a run leaves it."""
    tiny = tinyrun.Tiny(
        blocks=read.blocks,
        locals_=read.locals_,
        pattern=read.pattern,
        method=read.method,
        seed=read.seed,
    )
    for event in tinyrun.events(tiny):
        match event:
            case ev.RunStarted():
                yield dataclasses.replace(
                    event,
                    config={**event.config, "compensation": read.compensation},
                    model={**event.model, "name": read.model, "sha256": read.model, "dtype": "float32"},
                    data={**event.data, "ids_sha256": read.calibration, "tokenizer": {"sha256": "tokens"}},
                )
            case ev.EvaluationFinished(state="dense"):
                yield _evaluation(read, "dense")
            case ev.EvaluationFinished(state="mask-only" | "compensated" as state):
                if read.evaluated and not (state == "compensated" and read.compensation == "none"):
                    yield _evaluation(read, state)
            case ev.EvaluationFinished():
                pass
            case ev.RunFinished():
                if read.finished:
                    yield dataclasses.replace(
                        event,
                        result={**event.result, "seconds": 60.0 + read.seed, "peak_memory_bytes": 1 << 28},
                    )
            case _:
                yield event


def _evaluation(read: Read, state: str) -> ev.EvaluationFinished:
    arrays = read.losses(state)
    if state == "dense" and read.words:
        encoded = [[piece.encode() for piece in window] for window in read.pieces()]
        ends = np.cumsum([len(piece) for window in encoded for piece in window]).astype(np.int32)
        whole = np.frombuffer(b"".join(piece for window in encoded for piece in window), np.uint8)
        for domain in read.domains:
            arrays[f"token_text/{domain}"] = whole.copy()
            arrays[f"token_ends/{domain}"] = ends.reshape(read.windows, read.window)
    says = {PROMPT: " a time"} if state == "dense" else dict(read.says)
    return ev.EvaluationFinished(state, "suite", read.scalars(state), read.protocol(), arrays, says)
