"""The smallest view there can be, for tests of what all views share."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import traitlets
from matplotlib.figure import Figure

from hyperprune_lab.errors import UserError
from hyperprune_lab.views import theme
from hyperprune_lab.widgets.desk import Now
from hyperprune_lab.widgets.view import Answer, Measure, View


@dataclass(frozen=True)
class Count:
    seq: int
    focus: str | None
    level: int
    decided: int


def _picture(data: Count, theme_name: theme.Theme = "light") -> Figure:
    with theme.drawing(theme_name, 120) as figure:
        figure.add_subplot().plot([0, data.seq])
    return figure


class CountView(View):
    """Counts decided modules."""

    _esm = "export default { render() {} }"
    view_name = "count"
    title = "Count"
    question = "How many?"
    measures = (Measure("all", "all"), Measure("some", "some"))
    drawing = SimpleNamespace(
        payload=lambda data: {
            "decided": data.decided,
            "level": data.level,
            "seq": data.seq,
            "none": float("nan"),
        },
        text=lambda data: f"{data.decided} decided, level {data.level}, {data.focus}",
        picture=_picture,
        table=lambda data: [{"module": "=cmd()", "decided": data.decided}],
    )
    kinds = ("ModuleDecided",)
    level = traitlets.Int(0, max=9).tag(asked=True)

    def __init__(self, *args: Any, **options: Any) -> None:
        self.made = 0
        self.heard_of: list[tuple[str, dict[str, Any]]] = []
        super().__init__(*args, **options)

    def data(self, now: Now) -> Count:
        assert now.run is not None
        self.made += 1
        if self.level == 7:
            raise UserError("level 7 is not there: take another")
        if self.level == 8:
            raise ZeroDivisionError("a mistake of the view")
        decided = sum(event.seq <= now.seq for event in now.run.events(kinds=("ModuleDecided",)))
        return Count(now.seq, now.focus, self.level, decided)

    def on_message(self, kind: str, content: Any) -> None:
        self.heard_of.append((kind, dict(content)))

    def on_ask(self, what: Any, now: Now) -> Answer:
        if what["name"] == "twice":
            return {"is": 2 * what["number"]}, [b"abc"]
        raise UserError("no such question")
