"""n:m sparsity patterns: enumerate, project scores, check, number and pack masks.

Knows nothing about models, layers or files; works on numpy arrays and, when handed one, on torch tensors.

A pattern keeps ``keep`` of every ``group`` consecutive weights along the *last* axis, the input
dimension: the only direction that hardware multiplies sparsely. The masks of one group are numbered
lexicographically by the tuple of kept positions (2:4: 1100, 1010, 1001, 0110, 0101, 0011), the order
used in the field.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from hyperprune_lab.errors import UserError

LARGEST_GROUP = 32
LARGEST_ENUMERATION = 128
LARGEST_TABLE = 1 << 17
_LARGEST_CODED_GROUP = 8  # a byte holds the mask of a group: its number is then a look-up away

Array = TypeVar("Array")
"""A numpy array or a torch tensor; what goes in comes out, on the same device."""


@dataclass(frozen=True, order=True)
class NMPattern:
    """Keeps ``keep`` of every ``group`` consecutive weights; ``0 < keep < group <= 32``.

    Raises:
        UserError: the two numbers are no pattern.
    """

    keep: int
    group: int

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise UserError(f"Pattern {self} would keep nothing: n in n:m must be at least 1, as in 2:4.")
        if self.keep >= self.group:
            raise UserError(
                f"Pattern {self} prunes nothing: n:m keeps n of every m weights, so n must be smaller "
                "than m, as in 2:4."
            )
        if self.group > LARGEST_GROUP:
            raise UserError(f"Pattern {self} has too large a group: m may be at most {LARGEST_GROUP}.")

    @classmethod
    def parse(cls, text: str) -> NMPattern:
        """Read ``"2:4"``.

        Raises:
            UserError: ``text`` is not two whole numbers joined by a colon, or they are no pattern.
        """
        match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", text.strip())
        if match is None:
            raise UserError(
                f"{text[:40]!r} is no pattern: write n:m, as in 2:4 to keep 2 of every 4 weights."
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.keep}:{self.group}"

    def describe(self) -> str:
        """The pattern in words: ``keeps 2 of every 4 (2:4)``."""
        return f"keeps {self.keep} of every {self.group} ({self})"

    @property
    def count(self) -> int:
        """How many masks a single group has."""
        return comb(self.group, self.keep)

    @property
    def density(self) -> float:
        """Share of the weights that stays."""
        return self.keep / self.group

    @property
    def enumerable(self) -> bool:
        """Whether a group has few enough masks (at most 128) to give each its own logit."""
        return self.count <= LARGEST_ENUMERATION

    def table(self) -> Bool[np.ndarray, "count group"]:
        """All masks of one group in lexicographic order of the kept positions; cached and read-only.

        Raises:
            UserError: a group has more than 131072 masks.
        """
        if self.count > LARGEST_TABLE:
            raise UserError(f"Pattern {self} has {self.count} masks per group: too many to list.")
        return _table(self.keep, self.group)

    def project(self, score: Array) -> Array:
        """The mask ``bool[..., in]`` that keeps the ``keep`` largest of each group of ``score[..., in]``.

        Ties go to the lowest index. The result maximizes the summed score among all masks of the pattern.

        Raises:
            UserError: a score is NaN, or the last axis is no multiple of the group.
        """
        grouped: Any = self._grouped(score)
        if bool((grouped != grouped).any()):
            raise UserError(
                "A score is NaN, so no mask can be chosen from it: "
                "the weights or the calibration inputs are not finite."
            )
        # Groups are short: counting how many scores beat each one takes a tenth of a sort's time at 2:4,
        # needs no negation (which overflows for integers), and is the same line for numpy and torch.
        columns = [grouped[..., position] for position in range(self.group)]
        beaten_by = [0] * self.group
        for first in range(self.group):
            for second in range(first + 1, self.group):
                second_wins = columns[second] > columns[first]
                beaten_by[first] = beaten_by[first] + _bytes(second_wins)
                beaten_by[second] = beaten_by[second] + _bytes(~second_wins)
        return _stacked([lost < self.keep for lost in beaten_by])

    def violations(self, mask: Array) -> int:
        """How many groups of the boolean ``mask[..., in]`` do not keep exactly ``keep`` weights."""
        return int((self._grouped(_boolean(mask)).sum(-1) != self.keep).sum())

    def ids(self, mask: Array) -> Array:
        """Lexicographic number ``int32[..., in / group]`` of each group's mask; needs no table of patterns.

        Raises:
            UserError: a group does not keep exactly ``keep`` weights.
        """
        if self.group <= _LARGEST_CODED_GROUP:
            ids: Any = self._coded_ids(mask)
            whole = not bool((ids < 0).any())
        else:
            whole = not self.violations(mask)
            ids = self._counted_ids(mask) if whole else None
        if not whole:
            broken = self.violations(mask)
            raise UserError(f"{broken} groups of the mask do not keep exactly {self.keep} of {self.group}.")
        return ids

    def _coded_ids(self, mask: Any) -> Any:
        """As ``ids``, -1 where a group is broken."""
        grouped = self._grouped(_boolean(mask))
        code = _bytes(grouped[..., 0])
        for position in range(1, self.group):
            code = code | (_bytes(grouped[..., position]) << position)
        torch = _torch_of(mask)
        return _beside(mask, _coded(self.keep, self.group))[code.int() if torch is not None else code]

    def _counted_ids(self, mask: Any) -> Any:
        """As ``ids`` for whole groups of any size, position by position."""
        grouped = self._grouped(mask)
        before = _beside(mask, _ranks(self.keep, self.group))
        left = grouped[..., 0] * 0 + self.keep
        ids = left * 0
        for position in range(self.group):
            keeps = grouped[..., position]
            ids = ids + before[position][left] * ~keeps
            left = left - keeps * 1
        torch = _torch_of(mask)
        return ids.to(torch.int32) if torch is not None else ids.astype(np.int32)

    def from_ids(self, ids: Array) -> Array:
        """The mask ``bool[..., groups * group]`` of the numbers ``ids[..., groups]``; undoes ``ids``.

        Raises:
            UserError: a number lies outside ``0 .. count - 1``.
        """
        rest: Any = ids
        if bool(((rest < 0) | (rest >= self.count)).any()):
            raise UserError(f"A mask number lies outside 0 to {self.count - 1}, the masks of {self}.")
        before = _beside(ids, _ranks(self.keep, self.group))
        left = rest * 0 + self.keep
        kept = []
        for position in range(self.group):
            ahead = before[position][left]
            keeps = rest < ahead
            rest = rest - ahead * ~keeps
            left = left - keeps * 1
            kept.append(keeps)
        return _stacked(kept)

    def require(self, in_features: int, name: str, out_features: int | None = None) -> None:
        """Check that groups tile the input width of the linear ``name``.

        Raises:
            UserError: names the linear, its shape and a pattern that would fit.
        """
        if in_features > 0 and in_features % self.group == 0:
            return
        shape = f"[{out_features}, {in_features}]" if out_features is not None else f"[out, {in_features}]"
        fitting = self._fitting(in_features)
        way_out = f"{fitting} would fit" if fitting else "no pattern fits this width"
        raise UserError(
            f"{name} has shape {shape}: its input width {in_features} is not divisible by {self.group}, "
            f"the group of {self}. {way_out[0].upper()}{way_out[1:]}; or leave this module dense."
        )

    def _fitting(self, in_features: int) -> NMPattern | None:
        """The pattern nearest in density, then in group, whose groups tile ``in_features``."""
        candidates = [
            NMPattern(keep, group)
            for group in range(2, LARGEST_GROUP + 1)
            if in_features > 0 and in_features % group == 0
            for keep in range(1, group)
        ]
        return min(
            candidates,
            key=lambda other: (abs(other.density - self.density), abs(other.group - self.group), other.group),
            default=None,
        )

    def _grouped(self, array: Any) -> Any:
        """View ``[..., in]`` as ``[..., groups, group]``."""
        if array.ndim == 0 or array.shape[-1] == 0 or array.shape[-1] % self.group:
            raise UserError(
                f"Shape {tuple(array.shape)} does not divide into groups of {self.group} ({self})."
            )
        return array.reshape((*array.shape[:-1], array.shape[-1] // self.group, self.group))


def pack(mask: Bool[np.ndarray, "*rows in"]) -> UInt8[np.ndarray, "*rows bytes"]:
    """Eight weights a byte: input ``8 b + k`` is bit ``k`` of byte ``b``; unused bits are zero."""
    return np.packbits(_boolean(mask), axis=-1, bitorder="little")


def unpack(packed: UInt8[np.ndarray, "*rows bytes"], in_features: int) -> Bool[np.ndarray, "*rows in"]:
    """Undo ``pack`` for rows of ``in_features`` weights.

    Raises:
        UserError: the rows do not have ``ceil(in_features / 8)`` bytes, or an unused bit is set.
    """
    if packed.dtype != np.uint8 or packed.shape[-1] != -(-in_features // 8):
        raise UserError(
            f"A packed mask of shape {packed.shape} ({packed.dtype}) does not hold rows of "
            f"{in_features} weights."
        )
    bits = np.unpackbits(packed, axis=-1, bitorder="little")
    if bits[..., in_features:].any():
        raise UserError(f"A packed mask has bits set beyond its {in_features} weights per row.")
    return bits[..., :in_features].astype(bool)


def _torch_of(array: Any) -> Any:
    """The torch module if ``array`` is a tensor; torch is never imported from here."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else None


def _beside(array: Any, table: np.ndarray) -> Any:
    """``table`` as the same kind as ``array``, on its device."""
    torch = _torch_of(array)
    return torch.from_numpy(table).to(array.device) if torch is not None else table


def _bytes(boolean: Any) -> Any:
    """The booleans as numbers 0 and 1 of one byte, without a copy."""
    torch = _torch_of(boolean)
    return boolean.view(torch.uint8 if torch is not None else np.uint8)


def _stacked(columns: list[Any]) -> Any:
    """Position by position ``bool[..., groups]`` to ``bool[..., groups * group]``."""
    torch = _torch_of(columns[0])
    mask = torch.stack(columns, -1) if torch is not None else np.stack(columns, -1)
    return mask.reshape((*mask.shape[:-2], -1))


def _boolean(mask: Any) -> Any:
    torch = _torch_of(mask)
    if mask.dtype != (torch.bool if torch is not None else np.bool_):
        raise TypeError(f"a mask is boolean, true where a weight is kept; got {mask.dtype}")
    return mask


@lru_cache(maxsize=64)
def _table(keep: int, group: int) -> np.ndarray:
    table = np.zeros((comb(group, keep), group), dtype=bool)
    for row, kept in enumerate(combinations(range(group), keep)):
        table[row, list(kept)] = True
    table.flags.writeable = False
    return table


@lru_cache(maxsize=64)
def _coded(keep: int, group: int) -> np.ndarray:
    """``[2 ** group]``: the number of the mask whose bits spell the index, position 0 lowest; else -1."""
    numbers = np.full(1 << group, -1, dtype=np.int32)
    for number, kept in enumerate(combinations(range(group), keep)):
        numbers[sum(1 << position for position in kept)] = number
    return numbers


@lru_cache(maxsize=64)
def _ranks(keep: int, group: int) -> np.ndarray:
    """``[position, left]``: masks that keep ``position`` while ``left`` are still to be kept from there on.

    They come before every mask that skips the position, so their sum over the skipped positions is the
    mask's number.
    """
    ranks = np.zeros((group, keep + 1), dtype=np.int64)
    for position in range(group):
        for left in range(1, keep + 1):
            ranks[position, left] = comb(group - 1 - position, left - 1)
    return ranks
