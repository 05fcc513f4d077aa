"""Which words broke: a page of text with the loss difference of every token, the worst tokens, and continuations.

Knows nothing about masks. Texts are shown as they were recorded, but for signs
that turn the direction of writing; nothing in them is taken for markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune_lab.analysis.tokenloss import (
    DENSE,
    SAME_NATS,
    Difference,
    Shared,
    TokenDifference,
    common_start,
    difference,
    extremes,
    shared_text,
)
from hyperprune_lab.record.reader import Run

PAGE_TOKENS = 256
WORST = 12
FULL_NATS = 2.0
"""From this difference on the color is full and the underline thickest."""


@dataclass(frozen=True)
class Token:
    """One token of a page; losses are None where nothing was predicted, the first of a window."""

    piece: str
    ours: float | None
    theirs: float | None

    @property
    def difference(self) -> float | None:
        return None if self.ours is None or self.theirs is None else self.ours - self.theirs


@dataclass(frozen=True)
class Page:
    """A stretch of one domain: tokens from ``position`` of a ``window`` on."""

    domain: str
    number: int
    window: int
    position: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Domain:
    """One evaluation text: how many pages it has, and which of them holds its worst token."""

    name: str
    pages: int
    worst_page: int
    difference: Difference


@dataclass(frozen=True)
class Words:
    """What two states both read. With a ``problem`` there is nothing but that.

    ``pages`` holds the chosen page first, then the one of each domain with its worst token. ``has_text`` tells whether
    the words themselves were recorded.
    """

    ours: str
    theirs: str
    state: str
    problem: str = ""
    partly: str = ""
    difference: Difference | None = None
    domains: tuple[Domain, ...] = ()
    pages: tuple[Page, ...] = ()
    worst: tuple[TokenDifference, ...] = ()
    better: tuple[TokenDifference, ...] = ()
    has_text: bool = False
    per_window: int = 1

    @property
    def page(self) -> Page | None:
        return self.pages[0] if self.pages else None

    def place(self, token: TokenDifference) -> tuple[int, int]:
        """Page, and place on it, of a token."""
        page = token.window * self.per_window + token.position // PAGE_TOKENS
        return page, token.position % PAGE_TOKENS

    def payload(self) -> dict[str, Any]:
        mean = self.difference
        return {
            "ours": self.ours,
            "theirs": self.theirs,
            "state": self.state,
            "problem": self.problem,
            "partly": self.partly,
            "has_text": self.has_text,
            "same": SAME_NATS,
            "full": FULL_NATS,
            "difference": None if mean is None else _mean(mean),
            "shares": None if mean is None else [mean.same, mean.worse, mean.better],
            "domains": [[one.name, one.pages, one.worst_page, _mean(one.difference)] for one in self.domains],
            "pages": [
                {
                    "domain": page.domain,
                    "number": page.number,
                    "window": page.window,
                    "texts": [_forward(token.piece) for token in page.tokens],
                    "ours": [_short(token.ours) for token in page.tokens],
                    "theirs": [_short(token.theirs) for token in page.tokens],
                }
                for page in self.pages
            ],
            "worst": [self._told(token) for token in self.worst],
            "better": [self._told(token) for token in self.better],
        }

    def _told(self, token: TokenDifference) -> list[Any]:
        page, place = self.place(token)
        return [
            token.domain,
            page,
            place,
            *(_forward(text) for text in (token.before, token.piece, token.after)),
            _short(token.ours),
            _short(token.theirs),
        ]


@dataclass(frozen=True)
class Continuation:
    """One prompt and what the models made of it, each freely; ``split`` is where ours leaves theirs, in characters.

    ``split`` is None where both are the same. ``dense`` is None where theirs is the dense model.
    """

    prompt: str
    theirs: str
    ours: str
    dense: str | None
    split: int | None

    def payload(self) -> list[Any]:
        dense = None if self.dense is None else _forward(self.dense)
        return [*(_forward(text) for text in (self.prompt, self.theirs, self.ours)), dense, self.split]


def words_of(
    ours: tuple[str, Run],
    state: str,
    theirs: tuple[str, Run],
    their_state: str,
    *,
    as_of: int | None = None,
    domain: str = "",
    page: int = -1,
) -> Words:
    """The words that two states (each a name and its run) both read; a page of -1 is the one with the worst token.

    Raises:
        UserError: a record is damaged.
    """
    shared = shared_text(ours[1], state, theirs[1], their_state, as_of)
    named = Words(ours[0], DENSE if their_state == DENSE else theirs[0], state, shared.problem, shared.partly)
    if shared.problem:
        return named
    window = shared.domains[0].ours.shape[1] + 1
    per_window = -(-window // PAGE_TOKENS)
    domains = tuple(_domain(one, per_window) for one in shared.domains)
    worst = extremes(shared.domains, WORST)
    by_name = {one.domain: one for one in shared.domains}
    chosen = domain if domain in by_name else (worst[0].domain if worst else domains[0].name)
    of = next(one for one in domains if one.name == chosen)
    number = page if 0 <= page < of.pages else of.worst_page
    pages = [_page(by_name[chosen], number, per_window)]
    pages += [_page(by_name[one.name], one.worst_page, per_window) for one in domains]
    first, *others = pages
    return Words(
        named.ours,
        named.theirs,
        state,
        partly=shared.partly,
        difference=difference(shared.domains),
        domains=domains,
        pages=(first, *(one for one in others if (one.domain, one.number) != (first.domain, first.number))),
        worst=tuple(worst),
        better=tuple(extremes(shared.domains, WORST, better=True)),
        has_text=all(one.texts is not None for one in shared.domains),
        per_window=per_window,
    )


def continuations(
    run: Run, state: str, other: Run | None, as_of: int | None = None
) -> tuple[tuple[Continuation, ...], str]:
    """What ``run`` in ``state`` and ``other`` (without one, the dense model) made of the same prompts; or why nothing.

    Raises:
        UserError: a record is damaged.
    """
    ours, dense = _texts(run, state, as_of), _texts(run, DENSE, as_of)
    theirs = dense if other is None else _texts(other, state, None)
    common = [prompt for prompt in ours if prompt in theirs]
    if not common:
        return (
            (),
            "No prompt was continued by both." if ours and theirs else "No continuation is recorded (yet).",
        )
    found = []
    for prompt in common:
        one, two = theirs[prompt], ours[prompt]
        start = common_start(one, two)
        split = None if one == two else start
        found.append(Continuation(prompt, one, two, None if other is None else dense.get(prompt), split))
    return tuple(found), ""


def _texts(run: Run, state: str, as_of: int | None) -> dict[str, str]:
    for event in reversed(run.events(kinds=("EvaluationFinished",))):
        if event.payload.get("state") == state and (as_of is None or event.seq <= as_of):
            texts = event.payload.get("texts") or {}
            return {str(prompt): str(text) for prompt, text in texts.items()}
    return {}


def _domain(shared: Shared, per_window: int) -> Domain:
    signed = np.nan_to_num(shared.difference.astype(float), nan=-np.inf)
    window, column = divmod(int(signed.argmax()), signed.shape[1])
    worst = window * per_window + (column + 1) // PAGE_TOKENS
    return Domain(shared.domain, len(signed) * per_window, worst, difference([shared]))


def _page(shared: Shared, number: int, per_window: int) -> Page:
    window, part = divmod(number, per_window)
    last = shared.ours.shape[1] + 1
    places = range(part * PAGE_TOKENS, min(last, (part + 1) * PAGE_TOKENS))
    return Page(
        shared.domain, number, window, places.start, tuple(_token(shared, window, place) for place in places)
    )


def _token(shared: Shared, window: int, position: int) -> Token:
    piece = "" if shared.texts is None else shared.texts.piece(window, position)
    if position == 0:
        return Token(piece, None, None)
    ours, theirs = (float(one[window, position - 1]) for one in (shared.ours, shared.theirs))
    return Token(piece, ours if ours == ours else None, theirs if theirs == theirs else None)


def _mean(of: Difference) -> list[float | None]:
    return [of.nats, of.low, of.high]


# Signs that turn around the direction of what follows, beyond the token that holds them.
_TURNS = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")


def _forward(text: str) -> str:
    return text.translate(_TURNS)


def _short(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 3)


def context(token: TokenDifference, before: int = 32, after: int = 20) -> Sequence[str]:
    """What stands before a token, the token, what stands after it, on one line."""
    front, back = token.before[-before:], token.after[:after]
    parts = (f"…{front}" if len(token.before) > before else front, token.piece, f"{back}…" if back else back)
    return tuple("".join(_visible(sign) for sign in part) for part in parts)


def _visible(sign: str) -> str:
    if sign == "\n":
        return "⏎"
    return sign if sign.isprintable() else (" " if sign.isspace() else "\ufffd")
