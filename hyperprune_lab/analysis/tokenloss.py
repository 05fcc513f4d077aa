"""Token losses of two states on text that both read: where they differ, by how much, and around which words.

Knows nothing about colors or pages. Losses are teacher-forced: at every token the model was given the true words
before it, so that a difference belongs to that token alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int32

from hyperprune_lab.intervals import paired_interval
from hyperprune_lab.record.reader import Run

DENSE = "dense"
SUBJECT = "suite"
SAME_NATS = 0.1
"""Differences up to this are none worth a color."""
UNNAMED = "text"
"""The domain of losses that were recorded without one."""

_LOSSES, _TEXT, _ENDS = "token_losses/", "token_text/", "token_ends/"
_BEFORE, _AFTER = 48, 32


@dataclass(frozen=True, eq=False)
class Losses:
    """Nats of every predicted token by domain ``[windows, window - 1]``, and the protocol that they were read by."""

    domains: Mapping[str, Float[np.ndarray, "windows predicted"]]
    protocol: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Texts:
    """The text of a domain's windows in UTF-8, and where each token's part of it ends."""

    text: bytes
    ends: Int32[np.ndarray, "windows window"]

    def piece(self, window: int, position: int) -> str:
        """The text of one token."""
        return self._between(self._start(window, position), int(self.ends[window, position]))

    def around(self, window: int, position: int) -> tuple[str, str]:
        """What stands before and after a token in its window."""
        first, last = self._start(window, 0), int(self.ends[window, -1])
        start, end = self._start(window, position), int(self.ends[window, position])
        before, after = self._between(first, start), self._between(end, last)
        return before[-_BEFORE:], after[:_AFTER]

    def _start(self, window: int, position: int) -> int:
        place = window * self.ends.shape[1] + position
        return int(self.ends.flat[place - 1]) if place else 0

    def _between(self, start: int, end: int) -> str:
        return self.text[start:end].decode("utf-8", "replace")


@dataclass(frozen=True, eq=False)
class Shared:
    """One domain that both read: losses on the same windows, and its words where some record holds them."""

    domain: str
    ours: Float[np.ndarray, "windows predicted"]
    theirs: Float[np.ndarray, "windows predicted"]
    texts: Texts | None

    @property
    def difference(self) -> Float[np.ndarray, "windows predicted"]:
        """Ours minus theirs: above 0 ours is worse."""
        return self.ours - self.theirs


@dataclass(frozen=True)
class Difference:
    """Mean nats per token, ours minus theirs, with its 95 % interval over windows; and shares of tokens."""

    nats: float
    low: float | None
    high: float | None
    tokens: int
    same: float
    worse: float
    better: float


@dataclass(frozen=True)
class TokenDifference:
    """One token. ``position`` counts from 0 in its window; the token there has ``before`` in front of it."""

    domain: str
    window: int
    position: int
    piece: str
    before: str
    after: str
    ours: float
    theirs: float

    @property
    def difference(self) -> float:
        return self.ours - self.theirs


@dataclass(frozen=True)
class SharedText:
    """What two states both read. ``problem`` says why there is nothing; ``partly`` that it is not all of it."""

    domains: tuple[Shared, ...]
    problem: str = ""
    partly: str = ""


_KEPT: WeakKeyDictionary[Run, dict[object, Any]] = WeakKeyDictionary()


def losses_of(run: Run, state: str, as_of: int | None = None) -> Losses | None:
    """The newest losses of a state (``dense``, ``mask-only``, ``compensated``); None if none were recorded (yet).

    Raises:
        UserError: the record is damaged.
    """
    return _evaluated(run, state, as_of)[0]


def texts_of(run: Run, as_of: int | None = None) -> dict[str, Texts]:
    """The words of the evaluation text by domain; empty if the record holds none."""
    return _evaluated(run, DENSE, as_of)[1]


def shared_text(run: Run, state: str, other: Run, other_state: str, as_of: int | None = None) -> SharedText:
    """What ``run`` in ``state`` and ``other`` in ``other_state`` both read; ``as_of`` concerns ``run`` alone.

    Raises:
        UserError: a record is damaged.
    """
    ours = losses_of(run, state, as_of)
    theirs = losses_of(other, other_state, as_of if other is run else None)
    if ours is None:
        return SharedText((), problem=_missing(run, state))
    if theirs is None:
        return SharedText((), problem=_missing(other, other_state))
    unlike = next((name for name in _FIELDS if _field(ours, name) != _field(theirs, name)), None)
    if unlike is not None:
        said = " against ".join(str(_field(one, unlike))[:16] for one in (ours, theirs))
        return SharedText((), problem=f"They did not read the same tokens: {_FIELDS[unlike]} {said}.")
    texts = {**texts_of(other), **texts_of(run)}
    same = [
        name
        for name in ours.domains
        if name in theirs.domains and _digest(ours, name) == _digest(theirs, name)
    ]
    found, shorter = [], False
    for name in same:
        one, two = ours.domains[name], theirs.domains[name]
        windows = min(len(one), len(two))
        shorter |= len(one) != len(two)
        found.append(
            Shared(name, one[:windows], two[:windows], _fitting(texts.get(name), windows, one.shape[1] + 1))
        )
    if not found:
        return SharedText((), problem="They did not read the same text.")
    partly = ""
    if len(same) < max(len(ours.domains), len(theirs.domains)):
        partly = f"only {', '.join(same)} was read by both"
    elif shorter:
        partly = f"only the first {sum(len(one.ours) for one in found)} windows were read by both"
    return SharedText(tuple(found), partly=partly)


def difference(shared: Sequence[Shared]) -> Difference:
    """Over all tokens of these domains."""
    per_window = np.concatenate([one.difference.astype(float).mean(axis=1) for one in shared])
    every = np.concatenate([one.difference.ravel() for one in shared])
    known = every[~np.isnan(every)]
    count = max(1, len(known))
    worse, better = (known > SAME_NATS).sum() / count, (known < -SAME_NATS).sum() / count
    mean, low, high = paired_interval(per_window)
    return Difference(mean, low, high, len(known), float(1 - worse - better), float(worse), float(better))


def extremes(shared: Sequence[Shared], count: int, better: bool = False) -> list[TokenDifference]:
    """The tokens at which ours is worst against theirs (or best), beyond ``SAME_NATS``, the largest first."""
    sign = -1.0 if better else 1.0
    found: list[tuple[float, int, int]] = []
    for number, one in enumerate(shared):
        signed = np.nan_to_num(sign * one.difference.ravel().astype(float), nan=-np.inf)
        top = np.argsort(-signed, kind="stable")[:count]
        found += [(float(signed[place]), number, int(place)) for place in top if signed[place] > SAME_NATS]
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    tokens = []
    for _, number, place in found[:count]:
        window, column = divmod(place, shared[number].ours.shape[1])
        tokens.append(token_of(shared[number], window, column + 1))
    return tokens


def token_of(shared: Shared, window: int, position: int) -> TokenDifference:
    """One token with its context; ``position`` 0 of a window is never predicted."""
    before, after = shared.texts.around(window, position) if shared.texts else ("", "")
    return TokenDifference(
        shared.domain,
        window,
        position,
        shared.texts.piece(window, position) if shared.texts else "",
        before,
        after,
        float(shared.ours[window, position - 1]),
        float(shared.theirs[window, position - 1]),
    )


def common_start(one: str, other: str) -> int:
    """Where two continuations first differ: the beginning of the word in which they do; the length if they do not."""
    shortest = min(len(one), len(other))
    place = next((n for n in range(shortest) if one[n] != other[n]), shortest)
    if place == len(one) == len(other):
        return place
    while place and not one[place - 1].isspace() and (place >= len(one) or not one[place].isspace()):
        place -= 1
    return place


_FIELDS = {"window": "windows of", "tokenizer": "tokenizer"}


def _field(losses: Losses, name: str) -> Any:
    value = losses.protocol.get(name)
    return value.get("sha256") if isinstance(value, Mapping) else value


def _digest(losses: Losses, domain: str) -> Any:
    """What identifies a domain's text: its own digest, or all of them where they have no names."""
    names = str(losses.protocol.get("text", "")).split("+")
    digests = losses.protocol.get("text_sha256")
    if isinstance(digests, list) and len(digests) == len(names):
        return dict(zip(names, digests, strict=True)).get(domain, digests)
    return digests


def _missing(run: Run, state: str) -> str:
    name = run.directory.root.name
    if run.state == "running":
        return f"{name} has no {state} losses yet: they are measured at the end."
    if state == "compensated" and run.config.get("compensation") == "none":
        return f"{name} was not compensated."
    return f"{name} holds no token losses of its {state} model."


def _fitting(texts: Texts | None, windows: int, window: int) -> Texts | None:
    if texts is None or texts.ends.shape[0] < windows or texts.ends.shape[1] != window:
        return None
    return texts


def _evaluated(run: Run, state: str, as_of: int | None) -> tuple[Losses | None, dict[str, Texts]]:
    """Read once for as long as the run is; another thread may at worst read it too."""
    event = next(
        (
            event
            for event in reversed(run.events(kinds=("EvaluationFinished",)))
            if event.payload.get("state") == state
            and event.subject == SUBJECT
            and (as_of is None or event.seq <= as_of)
        ),
        None,
    )
    if event is None:
        return None, {}
    kept = _KEPT.setdefault(run, {})
    key = (state, event.seq, run.generation)
    if key not in kept:
        arrays = run.evidence("evaluation", (state, SUBJECT), as_of=event.seq)
        domains = {
            name.removeprefix(_LOSSES) if name.startswith(_LOSSES) else UNNAMED: np.asarray(array)
            for name, array in arrays.items()
            if name.startswith("token_losses") and array.ndim == 2 and array.size
        }
        losses = Losses(domains, event.payload.get("protocol") or {}) if domains else None
        kept[key] = (losses, _texts(arrays))
    return kept[key]


def _texts(arrays: Mapping[str, np.ndarray]) -> dict[str, Texts]:
    found = {}
    for name, ends in arrays.items():
        text = arrays.get(_TEXT + name.removeprefix(_ENDS))
        if not name.startswith(_ENDS) or text is None or ends.ndim != 2 or not ends.size:
            continue
        flat = ends.ravel()
        # A record may come from anywhere: places outside its text are no words.
        if flat[0] >= 0 and (np.diff(flat) >= 0).all() and flat[-1] <= text.size:
            found[name.removeprefix(_ENDS)] = Texts(text.astype(np.uint8).tobytes(), ends.astype(np.int32))
    return found
