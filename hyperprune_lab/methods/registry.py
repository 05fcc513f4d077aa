"""The methods by name: our own, and those that other packages offer.

Knows nothing about what a method does; imports one only when it is asked for.

Another package adds methods by an entry point in the group ``hyperprune_lab.methods``, whose name is the
method's name and whose object is the class.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hyperprune_lab.errors import UserError

ENTRY_POINT_GROUP = "hyperprune_lab.methods"

DESCRIPTION = ("name", "summary", "reference", "kind", "cost", "updates_weights")
"""What the class of a method says of itself."""

METHODS: dict[str, str] = {
    "magnitude": "hyperprune_lab.methods.magnitude:Magnitude",
    "wanda": "hyperprune_lab.methods.wanda:Wanda",
    "wanda++": "hyperprune_lab.methods.wanda_plus_plus:WandaPlusPlus",
    "pruner-zero": "hyperprune_lab.methods.pruner_zero:PrunerZero",
    "sparsegpt": "hyperprune_lab.methods.sparsegpt:SparseGPT",
    "hyperprune": "hyperprune_lab.methods.hyperprune:HyperPrune",
    "descent": "hyperprune_lab.methods.coordinate_descent:CoordinateDescent",
    "alps": "hyperprune_lab.methods.alps:ALPS",
}
"""Where each method of this package lives, in the order in which tables list them."""


def method_names() -> list[str]:
    """All known names: our own first, then those of other packages, sorted."""
    return [*METHODS, *sorted(set(_foreign()) - set(METHODS))]


def require_method(name: str) -> None:
    """Raise ``UserError`` where there is no such method; nothing is imported."""
    if name not in METHODS and name not in _foreign():
        raise UserError(f"There is no method {name!r}. Known methods: {', '.join(method_names())}.")


def method(name: str) -> type[Any]:
    """The class of a method (see `LayerwiseMethod`); what describes it can be read without making one.

    Raises:
        UserError: there is no such method, or what another package offers does not load or is no method.
    """
    if name in METHODS:
        module, _, attribute = METHODS[name].partition(":")
        return getattr(import_module(module), attribute)
    require_method(name)
    point = _foreign()[name]
    try:
        foreign = point.load()
    except Exception as error:  # whatever a foreign package does wrong on import is told by its name
        raise UserError(f"Method {name!r} is offered as {point.value} but does not load: {error}") from error
    missing = [attribute for attribute in DESCRIPTION if not hasattr(foreign, attribute)]
    if missing:
        raise UserError(f"Method {name!r} is offered as {point.value}, which lacks {', '.join(missing)}.")
    return foreign


def _foreign() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
