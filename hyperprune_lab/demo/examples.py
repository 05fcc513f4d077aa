"""The recorded runs that come with the project, so that every figure is the same everywhere.

    python -m hyperprune_lab.demo.examples --out data/runs

makes them again. ``hyperprune`` is the method as this project builds it; what forgetting is, the two ``paper`` runs
show, since only there does the network learn block after block. Knows nothing about views.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hyperprune_lab.demo.faults import FAULTS, exercise, run_with_faults
from hyperprune_lab.events import Event
from hyperprune_lab.pipeline.config import RunConfig
from hyperprune_lab.pipeline.launch import require_free
from hyperprune_lab.pipeline.session import record_events, run_to_record
from hyperprune_lab.record.copy import copy_record

Recipe = Callable[[Path], Iterator[Event]]


def _run(**values: object) -> Recipe:
    config = RunConfig.from_json({"model": "demo", "device": "cpu", "damage": True, **values})
    return lambda out: run_to_record(config, out)


def _paper(continual_weight: float) -> Recipe:
    return _run(
        preset="paper",
        budget="quick",
        compensation="none",
        evidence="full",
        continual_weight=continual_weight,
    )


EXAMPLES: dict[str, Recipe] = {
    "wanda": _run(method="wanda", budget="quick"),
    "hyperprune": _run(method="hyperprune", budget="quick"),
    "paper": _paper(1.0),
    "paper-lambda2-0": _paper(0.0),
    "faults": lambda out: record_events(run_with_faults(exercise(), FAULTS), out),
}


def make(name: str, folder: Path) -> Path:
    """Run one example and leave its record, without weights, in ``folder/name``, which must not exist."""
    require_free(folder / name)
    with tempfile.TemporaryDirectory() as workshop:
        run = Path(workshop) / name
        for _ in EXAMPLES[name](run):
            pass
        return copy_record(run, folder / name, weights=False)


def main() -> int:
    """Make the examples that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(EXAMPLES), help="Default: all of them.")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    for name in asked.names:
        print(make(name, asked.out), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
