"""Recompute what a run claims: every mask's pattern and every file's digest.

Knows nothing about how masks were chosen; trusts nothing that it can recompute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperprune_lab.errors import UserError
from hyperprune_lab.record.layout import RunDirectory
from hyperprune_lab.record.masks import PackedMask, masks_digest
from hyperprune_lab.record.schema import reading
from hyperprune_lab.record.store import Store


@dataclass(frozen=True)
class Verification:
    """``groups`` of all final masks, ``violations`` among them, their digest, what is ``damaged`` in words.

    Masks that cannot be read are missing from the first three.
    """

    groups: int
    violations: int
    sha256: str
    damaged: list[str]

    @property
    def sound(self) -> bool:
        """Nothing violated, nothing damaged."""
        return not self.violations and not self.damaged


def verify(path: Path | str) -> Verification:
    """Check a run, finished or not, from its files alone.

    Raises:
        UserError: no run, or a database that cannot be read.
    """
    store = Store(path)
    damaged = _database_damage(store.directory)
    for file in store.artefacts():
        try:
            store.check(file)
        except UserError as error:
            damaged.append(str(error))
    groups = violations = 0
    masks: dict[str, PackedMask] = {}
    for file, modules in store.mask_files().items():
        try:
            found = store.masks_in(file, modules)
            for mask in found.values():
                groups += mask.shape[0] * mask.shape[1] // mask.pattern.group
                violations += mask.pattern.violations(mask.unpack())
        except UserError as error:
            damaged.append(str(error))
        else:
            masks |= found
    damaged += _contradictions(store, masks)
    return Verification(groups, violations, masks_digest(masks.items()), list(dict.fromkeys(damaged)))


def _database_damage(directory: RunDirectory) -> list[str]:
    with reading(directory, immutable=False) as connection:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else [f"{directory.database}: {text}" for text in found]


def _contradictions(store: Store, masks: dict[str, PackedMask]) -> list[str]:
    """Masks that are not what the record's events say, and modules that a finished run should have pruned."""
    found = []
    newest = {event.subject: event.payload for event in store.events(kinds=("ModuleDecided",))}
    for module, mask in masks.items():
        decided = newest[module]
        if decided.get("pattern") != str(mask.pattern) or decided.get("shape") != list(mask.shape):
            found.append(
                f"{module}: its mask is {mask.pattern} {list(mask.shape)}, the record says otherwise."
            )
    if store.state == "finished":
        promised = [row["name"] for row in store.started.get("coverage", []) if row.get("status") == "pruned"]
        found += [
            f"{module}: covered, but no mask was recorded." for module in promised if module not in masks
        ]
    return found
