"""The three evaluation texts that the story world writes itself, from seeds held out from training.

Does not know where the files lie or who measures on them; the two written texts beside them are no
concern of it.
"""

from __future__ import annotations

from itertools import chain

from hyperprune_lab.demo.world import HELD_OUT, stories
from hyperprune_lab.errors import UserError

# domain: its genres and how many stories of each; about 3,700 words a domain
DOMAINS = {
    "story": (("tale", "household", "journey"), 10),
    "dialogue": (("dialogue",), 28),
    "ledger": (("ledger",), 34),
}


def evaluation_text(domain: str) -> str:
    """The text of `domain`: held-out stories of its genres in turn, with blank lines between them.

    Raises
    ------
    UserError
        If `domain` is not one of `DOMAINS`.
    """
    if domain not in DOMAINS:
        raise UserError(f"no generated evaluation text {domain!r}; choose one of {', '.join(DOMAINS)}")
    genres, count = DOMAINS[domain]
    first = HELD_OUT + 1000 * list(DOMAINS).index(domain)
    told = [stories(first + 100 * index, count, genre) for index, genre in enumerate(genres)]
    return "\n\n".join(chain.from_iterable(zip(*told, strict=True))) + "\n"
