"""Errors over depth as a plotly figure, for analysis cells: one panel a kind of linear, all on one axis.

Knows nothing about runs: it draws what ``reconstruction`` gathered.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hyperprune_lab.views import theme
from hyperprune_lab.views.charts import axis_of, decades, layout_of, plotly_dash, plotly_symbol, plotly_text
from hyperprune_lab.views.reconstruction_words import OURS, headline

if TYPE_CHECKING:
    from hyperprune_lab.views.reconstruction import ReconstructionData

_COLUMNS = 4


def chart_reconstruction(data: ReconstructionData, theme_name: theme.Theme) -> go.Figure:
    """This run thick, Wanda and magnitude thin; compensated block outputs, another quantity, dashed in the last."""
    names = [plotly_text(panel.name) for panel in data.panels]
    names += ["whole block, compensated"] if data.compensated else []
    columns = min(_COLUMNS, max(1, len(names)))
    rows = max(1, ceil(len(names) / columns))
    figure = make_subplots(
        rows=rows, cols=columns, shared_yaxes=True, subplot_titles=names, vertical_spacing=0.3 / rows
    )
    figure.update_layout(layout_of(theme_name, headline(data), 120 + 190 * rows))
    listed: set[str] = set()

    def add(
        number: int, label: str, color: str, series: list[tuple[int, float, str]], **style: object
    ) -> None:
        line = {"color": color, **{key: value for key, value in style.items() if key in ("width", "dash")}}
        figure.add_scatter(
            x=[block for block, _, _ in series],
            y=[value for _, value, _ in series],
            text=[text for _, _, text in series],
            name=label,
            legendgroup=label,
            showlegend=label not in listed,
            mode="lines+markers",
            line=line,
            marker={"symbol": style.get("symbol", "circle"), "size": style.get("size", 4), "color": color},
            hovertemplate="%{text}<br>block %{x}: %{y:.3g}<extra>%{fullData.name}</extra>",
            row=number // columns + 1,
            col=number % columns + 1,
        )
        listed.add(label)

    for number, panel in enumerate(data.panels):
        for method in (*data.references, OURS):
            own = method == OURS
            style = theme.method_style(data.method if own else method)
            series = [(p.block, p.value, plotly_text(p.module)) for p in panel.curves.get(method, ())]
            label = f"this run ({style.label})" if own else style.label
            add(
                number,
                plotly_text(label),
                getattr(style, theme_name),
                series,
                width=3 if own else 1.2,
                dash="solid" if own else plotly_dash(style.dash),
                symbol=plotly_symbol("o" if own else style.marker),
                size=6 if own else 4,
            )
    ours = getattr(theme.method_style(data.method), theme_name)
    for one in data.compensated:
        last = one is data.compensated[-1]
        for points, word, dash in ((one.least_squares, "least squares", "dot"), (one.refit, "refit", "dash")):
            label = plotly_text(f"{one.stage}, {word}")
            color = ours if last else theme.PALETTES[theme_name].soft
            add(len(data.panels), label, color, [(b, v, label) for b, v in points], width=1.6, dash=dash)
    figure.update_xaxes(axis_of(theme_name))
    figure.update_yaxes(axis_of(theme_name) | decades(data.domain))
    figure.update_annotations(font={"size": 12})
    return figure
