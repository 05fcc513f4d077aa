"""The hypernetwork's embeddings of layers and components, seen from one fixed direction through all of training.

Knows nothing about scatter plots. Principal components are fitted once, on the newest state, and frozen: earlier states
are seen in the same frame, so that what moves on the picture has moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from hyperprune_lab.analysis.linears import linears
from hyperprune_lab.record.reader import Run

Kind = Literal["layer", "component"]

COLLAPSED = 0.1
"""Embeddings that differ by less than this share of their own size are as good as equal."""


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Embeddings of one kind, of the network for one n:m ``pattern``.

    ``labels`` name the rows (blocks in order of depth, or components). ``path`` is long: ``moment`` (counts from 0),
    ``after`` (the block after whose training it was saved, -1 for the last stage), ``label, x, y``; the newest moment
    is the state that the frame was fitted on. ``explained`` are the shares of that state's variance along x and y.
    ``spread`` is the root mean squared distance from the centroid over the root mean squared length.
    """

    kind: Kind
    pattern: str
    labels: tuple[str, ...]
    path: pd.DataFrame
    explained: tuple[float, float]
    spread: float

    @property
    def collapsed(self) -> bool:
        """Whether the embeddings are as good as equal."""
        return len(self.labels) > 1 and self.spread < COLLAPSED

    @property
    def now(self) -> pd.DataFrame:
        """The newest moment: ``label, x, y``."""
        newest = self.path[self.path["moment"] == self.path["moment"].max()]
        return newest[["label", "x", "y"]].reset_index(drop=True)


def embeddings(run: Run, as_of: int | None = None) -> list[EmbeddingMap]:
    """Layer and component embeddings of every network of the run; only those in use. Empty for other methods.

    With ``as_of`` the path ends there, but the frame is that of the newest state that the record holds.
    """
    moments = _moments(run)
    if not moments:
        return []
    chooser = (run.config.get("hyperprune") or {}).get("chooser", {})
    found = []
    for name in sorted({name for _, _, arrays in moments for name in arrays}):
        kind_name, _, pattern = name.partition("_embedding/")
        if kind_name not in ("layer", "component") or not chooser.get(f"{kind_name}_embedding", True):
            continue
        kind: Kind = "layer" if kind_name == "layer" else "component"
        states = [
            (seq, after, arrays[name].astype(np.float64)) for seq, after, arrays in moments if name in arrays
        ]
        found.append(_mapped(kind, pattern, _labels(run, kind, pattern, len(states[-1][2])), states, as_of))
    return found


def principal_frame(
    points: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "2 d"], tuple[float, float]]:
    """Centroid, two principal directions, and the shares of variance along them.

    Directions are turned so that their largest entry is positive: the same points always give the same picture.
    A direction that the points do not need (fewer than three points, or all on a line) is zero.
    """
    centroid = points.mean(0)
    _, singular, directions = np.linalg.svd(points - centroid, full_matrices=False)
    frame, shares = np.zeros((2, points.shape[1])), [0.0, 0.0]
    total = float(np.square(singular).sum())
    for axis in range(min(2, len(singular))):
        if total > 0 and singular[axis] > 1e-9 * singular[0]:
            direction = directions[axis]
            frame[axis] = direction * np.sign(direction[np.abs(direction).argmax()])
            shares[axis] = float(singular[axis] ** 2) / total
    return centroid, frame, (shares[0], shares[1])


def _moments(run: Run) -> list[tuple[int, int, dict[str, np.ndarray]]]:
    """Every saved state: its event, the block after which it was saved (-1: after the last stage), its embeddings."""
    found = []
    for event in run.events(kinds=("BlockFinished",)):
        assert event.block is not None
        arrays = run.evidence("block", event.block, event.stage, event.seq)
        kept = {name: array for name, array in arrays.items() if "_embedding/" in name}
        if kept:
            found.append((event.seq, event.block, kept))
    saved = run.network()
    if saved is not None and found:
        seq = run.events(kinds=("NetworkSaved",))[-1].seq
        final = {}
        for name, array in saved[0].items():
            # network/networks.2of4.layer_embedding
            pattern, _, kind = name.removeprefix("network/networks.").partition(".")
            if kind in ("layer_embedding", "component_embedding"):
                final[f"{kind}/{pattern.replace('of', ':')}"] = array
        newest = found[-1][2]
        if any(
            name not in newest or not np.array_equal(array, newest[name]) for name, array in final.items()
        ):
            found.append((seq, -1, final))
    return found


def _labels(run: Run, kind: Kind, pattern: str, count: int) -> tuple[str, ...]:
    if kind == "layer":
        return tuple(str(block) for block in range(count))
    events = run.events(kinds=("NetworkSaved",))
    shapes = events[-1].payload["settings"].get("shapes", {}) if events else {}
    names = shapes.get(pattern, {}).get("components", [])
    if len(names) != count:
        # The network is saved at the end of a stage only.
        names = _components(run)
    return tuple(names) if len(names) == count else tuple(f"component {place}" for place in range(count))


def _components(run: Run) -> list[str]:
    """What blocks have in common, in the network's order: the last part of a linear's name where that is clear."""
    found: dict[str, None] = {}
    for _, block in linears(run).groupby("block", sort=False):
        last = block["local"].str.rpartition(".")[2]
        clear = ~last.duplicated(keep=False)
        found |= dict.fromkeys(last.where(clear, block["local"]))
    return list(found)


def _mapped(
    kind: Kind,
    pattern: str,
    labels: tuple[str, ...],
    states: list[tuple[int, int, np.ndarray]],
    as_of: int | None,
) -> EmbeddingMap:
    newest = states[-1][2]
    centroid, frame, explained = principal_frame(newest)
    parts = []
    shown = [state for state in states if as_of is None or state[0] <= as_of]
    for moment, (_, after, points) in enumerate(shown):
        x, y = (points - centroid) @ frame.T[:, 0], (points - centroid) @ frame.T[:, 1]
        parts.append(pd.DataFrame({"moment": moment, "after": after, "label": labels, "x": x, "y": y}))
    path = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["moment", "after", "label", "x", "y"])
    )
    state = shown[-1][2] if shown else newest
    length = float(np.sqrt(np.square(state).sum(1).mean()))
    apart = float(np.sqrt(np.square(state - state.mean(0)).sum(1).mean()))
    return EmbeddingMap(kind, pattern, labels, path, explained, apart / length if length > 0 else 0.0)
