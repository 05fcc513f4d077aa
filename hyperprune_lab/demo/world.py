"""Stories from seeds: the one door to the story world.

Does not know who reads the stories. Training text uses seeds below `HELD_OUT`; evaluation text and probes use
seeds from `HELD_OUT` upwards, so no story is ever seen on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune_lab.demo.genre_tale import tale
from hyperprune_lab.demo.genres_known import KNOWN
from hyperprune_lab.demo.genres_spoken import SPOKEN
from hyperprune_lab.demo.genres_told import TOLD, ending
from hyperprune_lab.demo.narrator import Narrator
from hyperprune_lab.errors import UserError

HELD_OUT = 2**40
_TELL = {**TOLD, **SPOKEN, "tale": tale, **KNOWN}
GENRES = tuple(_TELL)
# Tales are the most connected prose, so they are told more often.
_WEIGHTED = GENRES + ("tale",) * 4


def tell(seed: int, genre: str | None = None) -> Narrator:
    """The narrator after telling story `seed`: its text, its world state and the questions it asked.

    Raises
    ------
    UserError
        If `genre` is not one of `GENRES`.
    """
    if genre is not None and genre not in _TELL:
        raise UserError(f"unknown story genre {genre!r}; choose one of {', '.join(GENRES)}")
    narrator = Narrator(seed)
    _TELL[genre or narrator.pick(_WEIGHTED)](narrator)
    while narrator.words < 84:
        narrator.paragraph()
        narrator.detail()
        ending(narrator)
    return narrator


def story(seed: int) -> str:
    """The story of this seed: 80 to 250 words of plain English, the same on every machine."""
    return tell(seed).text()


def stories(seed: int, count: int, genre: str | None = None) -> Iterator[str]:
    """The stories of `count` consecutive seeds from `seed`, of one genre or of all."""
    for offset in range(count):
        yield tell(seed + offset, genre).text()
