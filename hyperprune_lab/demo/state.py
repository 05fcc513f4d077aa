"""The state of one small world: who has what, where things are, how many there are, who is taller.

Knows nothing of English; stories change it and the questions in them are answered from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hyperprune_lab.demo.lexicon import Kind, Person, Place


@dataclass(slots=True)
class Item:
    """One thing in the story. `noun` names it uniquely there; the adjectives may be empty."""

    kind: Kind
    color: str = ""
    size: str = ""
    material: str = ""

    @property
    def noun(self) -> str:
        return self.kind.noun

    @property
    def the(self) -> str:
        return "the " + self.kind.noun

    @property
    def full(self) -> str:
        """The noun with its adjectives in their usual English order."""
        return " ".join(word for word in (self.size, self.color, self.material, self.kind.noun) if word)


@dataclass(slots=True)
class State:
    """Facts of the story so far, keyed by the names of people and the nouns of things."""

    holder: dict[str, Person] = field(default_factory=dict)
    place: dict[str, Place] = field(default_factory=dict)
    count: dict[tuple[str, str], int] = field(default_factory=dict)
    order: dict[str, tuple[Person, ...]] = field(default_factory=dict)
    opened: dict[str, bool] = field(default_factory=dict)

    def take(self, person: Person, item: Item) -> None:
        """`person` now holds `item`, wherever it lay before."""
        self.place.pop(item.noun, None)
        self.holder[item.noun] = person

    def put(self, item: Item, place: Place) -> None:
        """Nobody holds `item` any more; it lies at `place`."""
        self.holder.pop(item.noun, None)
        self.place[item.noun] = place

    def add(self, person: Person, noun: str, change: int) -> int:
        """Changes how many of `noun` the person has; returns the new number.

        Raises
        ------
        ValueError
            If the person would have fewer than none.
        """
        number = self.count.get((person.name, noun), 0) + change
        if number < 0:
            raise ValueError(f"{person.name} cannot have {number} {noun}")
        self.count[person.name, noun] = number
        return number

    def rank(self, measure: str, people: Sequence[Person]) -> None:
        """Orders people by `measure`, the most of it first."""
        self.order[measure] = tuple(people)

    def exceeds(self, measure: str, left: Person, right: Person) -> bool:
        """True if `left` stands before `right` in the order of `measure`."""
        ranked = self.order[measure]
        return ranked.index(left) < ranked.index(right)
