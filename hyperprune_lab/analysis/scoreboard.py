"""What runs came to, side by side: figures that may stand in one column, and which of them is best.

Knows nothing about how a table looks. Runs whose perplexities do not compare stand in different groups; a best that
the evaluation text cannot tell from another is tied with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from hyperprune_lab.analysis.agreement import Difference, protocol, protocols_compared
from hyperprune_lab.analysis.tokenloss import losses_of
from hyperprune_lab.intervals import paired_interval
from hyperprune_lab.record.reader import Run

STATES = ("mask-only", "compensated")
LOWER = {"perplexity", "nats_lost", "kl", "error_rel", "seconds", "memory"}
"""Figures of which less is better; of all others more is."""
FIGURES = ("perplexity", "nats_lost", "gap_closed", "kl", "top1_agreement", "skills")
"""What is measured of a state; in ``Standing.values`` as ``state/figure``."""
OF_THE_RUN = ("error_rel", "seconds", "memory")
"""What stands for a run as a whole, so that a part of one is not held against it."""
REPLAYED = "replayed"
"""The state of a run that is looked at as of an earlier moment."""
_TELLING = ("perplexity", "nats_lost")


@dataclass(frozen=True)
class Standing:
    """One run. ``values`` holds what is known of it; ``awaits`` says that more may come.

    ``nats_interval`` has the ends of the 95 % interval of each state's nats lost, where they were recorded; ``dense``
    is the perplexity of the dense model on the evaluation text, whose name is ``text``.
    """

    name: str
    method: str
    preset: str
    pattern: str
    model: str
    budget: str
    compensation: str
    seed: int | None
    state: str
    stage: str
    seq: int
    values: Mapping[str, float] = field(default_factory=dict)
    nats_interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    dense: float | None = None
    text: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)

    @property
    def awaits(self) -> bool:
        return self.state in ("running", REPLAYED)


@dataclass(frozen=True)
class Group:
    """Places of runs whose perplexities may stand in one column. ``differs``: how it is unlike the first group."""

    places: tuple[int, ...]
    dense: float | None
    protocol: Mapping[str, Any]
    differs: tuple[Difference, ...] = ()


_KEPT: WeakKeyDictionary[Run, tuple[object, Standing]] = WeakKeyDictionary()


def standing(run: Run, as_of: int | None = None) -> Standing:
    """The figures of a run as of event ``as_of`` (default: now).

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else min(as_of, run.last_seq)
    kinds = (
        "RunStarted",
        "ModuleDecided",
        "BlockFinished",
        "StageStarted",
        "StageFinished",
        "EvaluationFinished",
    )
    key = (run.generation, run.newest_seq((*kinds, "RunFinished"), seq), run.state, seq == run.last_seq)
    kept = _KEPT.get(run)
    if kept is None or kept[0] != key:
        kept = (key, _standing(run, seq))
        _KEPT[run] = kept
    return kept[1]


def groups(standings: Sequence[Standing]) -> tuple[Group, ...]:
    """Runs by what their perplexities rest on; the group of the first run comes first."""
    found: list[list[int]] = []
    for place, one in enumerate(standings):
        fitting = (
            members
            for members in found
            if protocols_compared(standings[members[0]].protocol, one.protocol).perplexity
        )
        home = next(fitting, None)
        if home is None:
            found.append(home := [])
        home.append(place)
    made = []
    for members in found:
        first = standings[members[0]]
        unlike = protocols_compared(standings[0].protocol, first.protocol).differences if standings else ()
        dense = next(
            (standings[place].dense for place in members if standings[place].dense is not None), None
        )
        told = tuple(one for one in unlike if "perplexity" in one.concerns)
        made.append(Group(tuple(members), dense, first.protocol, told))
    return tuple(made)


def errors_compare(one: Standing, other: Standing) -> bool:
    """Whether errors of linears, which rest on the calibration text, may stand in one column."""
    return protocols_compared(one.protocol, other.protocol).errors


def masks_compare(one: Standing, other: Standing) -> tuple[Difference, ...]:
    """Fields because of which masks cannot be compared; none if they can."""
    unlike = protocols_compared(one.protocol, other.protocol).differences
    return tuple(field for field in unlike if "masks" in field.concerns)


def best(
    standings: Sequence[Standing], group: Group, column: str, runs: Sequence[Run] = ()
) -> tuple[frozenset[int], frozenset[int]]:
    """Places of the best in a column of one group, and of those that the evaluation text cannot tell from it.

    Nobody is best alone, or where all are equal: then both are empty. Ties are told for perplexities only, by the
    paired interval of the losses of ``runs``.
    """
    state, _, figure = column.rpartition("/")
    figure = figure or column
    known = {place: standings[place].values.get(column) for place in group.places}
    numbers = {place: value for place, value in known.items() if value is not None and np.isfinite(value)}
    if figure == "error_rel":
        first = standings[group.places[0]]
        numbers = {place: v for place, v in numbers.items() if errors_compare(first, standings[place])}
    if figure in OF_THE_RUN:
        numbers = {place: v for place, v in numbers.items() if standings[place].state == "finished"}
    if len(set(numbers.values())) < 2:
        return frozenset(), frozenset()
    top = (min if figure in LOWER else max)(numbers.values())
    winners = frozenset(place for place, value in numbers.items() if value == top)
    if figure not in _TELLING or not runs:
        return winners, frozenset()
    winner = min(winners)
    ties = (p for p in numbers if p not in winners and _tied(runs[winner], runs[p], state))
    return winners, frozenset(ties)


def _tied(better: Run, worse: Run, state: str) -> bool:
    """Whether the interval of their difference reaches 0."""
    one, two = losses_of(better, state), losses_of(worse, state)
    if one is None or two is None or one.domains.keys() != two.domains.keys():
        return False
    pairs = [(one.domains[name], two.domains[name]) for name in one.domains]
    if any(a.shape != b.shape for a, b in pairs):
        return False
    _, low, _ = paired_interval(np.concatenate([(b - a).astype(float).mean(axis=1) for a, b in pairs]))
    return low is not None and low <= 0


def _standing(run: Run, seq: int) -> Standing:
    config, started = run.config, run.started
    values, intervals, dense, read = _evaluated(run, seq)
    table = run.modules(as_of=seq)
    if "error_rel" in table and len(table):
        values["error_rel"] = float(table["error_rel"].mean())
    values |= _cost(run, seq)
    finished = run.newest_seq(("RunFinished",), seq) > 0
    stages = [event for event in run.events(kinds=("StageStarted",)) if event.seq <= seq]
    state = "finished" if finished else run.state
    return Standing(
        name=run.directory.root.name,
        method=str(config.get("method", "")),
        preset=str(config.get("preset") or ""),
        pattern=str(config.get("pattern", "")),
        model=str(started.get("model", {}).get("name", "")),
        budget=str(config.get("budget") or ""),
        compensation=str(config.get("compensation") or ""),
        seed=config.get("seed") if isinstance(config.get("seed"), int) else None,
        # Replayed, an ended run is one in the making.
        state=REPLAYED if not finished and seq < run.last_seq else state,
        stage=str(stages[-1].stage) if stages and not finished else "",
        seq=seq,
        values=values,
        nats_interval=intervals,
        dense=dense,
        text=read,
        protocol=protocol(run),
    )


def _evaluated(
    run: Run, seq: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]], float | None, str]:
    values: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    dense, read = None, ""
    for event in run.events(kinds=("EvaluationFinished",)):
        state, scalars = event.payload.get("state"), event.scalars
        if event.seq > seq or event.subject != "suite":
            continue
        if state == "dense":
            dense = scalars.get("perplexity")
            read = str((event.payload.get("protocol") or {}).get("text", ""))
        if state not in STATES:
            continue
        skills = [value for name, value in scalars.items() if name.startswith("skill/")]
        found = {**scalars, **({"skills": float(np.mean(skills))} if skills else {})}
        values |= {f"{state}/{name}": float(found[name]) for name in FIGURES if name in found}
        ends = [scalars.get(f"nats_lost_{end}") for end in ("low", "high")]
        if ends[0] is not None and ends[1] is not None:
            intervals[str(state)] = (ends[0], ends[1])
    return values, intervals, dense, read


def _cost(run: Run, seq: int) -> dict[str, float]:
    """Seconds and peak bytes: of the whole run once it has ended, until then of what is done."""
    if seq >= run.last_seq and run.result:
        told = {"seconds": run.result.get("seconds"), "memory": run.result.get("peak_memory_bytes")}
        found = {name: float(value) for name, value in told.items() if isinstance(value, int | float)}
        if found:
            return found
    done = [event for event in run.events(kinds=("BlockFinished", "StageFinished")) if event.seq <= seq]
    stages = [float(e.payload.get("seconds") or 0) for e in done if e.kind == "StageFinished"]
    peaks = [float(e.payload["peak_memory_bytes"]) for e in done if e.payload.get("peak_memory_bytes")]
    return ({"seconds": sum(stages)} if stages else {}) | ({"memory": max(peaks)} if peaks else {})
