"""Send the linked views of a desk to one channel or one row of a linear, as a click in a picture asks.

Knows nothing about pictures. What comes from a browser is checked against the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperprune_lab.analysis.linears import require_linear
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.widgets.desk import Desk
from hyperprune_lab.widgets.view import LONGEST_NAME


def look_at(desk: Desk, kind: str, content: Mapping[str, Any]) -> None:
    """``channel`` or ``row`` of ``module``: select the linear, move its mask there, and pin the channel.

    Raises:
        UserError, KeyError, TypeError, ValueError: the message fits no linear of the run.
    """
    run = desk.run
    if run is None or kind not in ("channel", "row"):
        return
    module, place = str(content["module"])[:LONGEST_NAME], int(content[kind])
    linear = require_linear(run, module)
    if not 0 <= place < linear["in_features" if kind == "channel" else "out_features"]:
        return
    row, group = desk.groups.get(module, (0, 0))
    if kind == "channel":
        group = place // NMPattern.parse(linear["pattern"]).group
    else:
        row = place
    desk.groups = {**desk.groups, module: (row, group)}
    if desk.selection[:1] != (module,):
        desk.select([module])
    if kind == "channel":
        desk.hovered_channel = (module, place)
