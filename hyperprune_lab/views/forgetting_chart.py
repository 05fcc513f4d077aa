"""Forgetting as a plotly figure, for analysis cells: the matrix, and a curve for every block.

Knows nothing about runs: it draws what ``forgetting`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from plotly.subplots import make_subplots

from hyperprune_lab.views import theme
from hyperprune_lab.views.charts import layout_of
from hyperprune_lab.views.forgetting_picture import difference_reach
from hyperprune_lab.views.forgetting_words import after_label, lines_of, message_of

if TYPE_CHECKING:
    from hyperprune_lab.views.forgetting import ForgettingData


def chart_forgetting(data: ForgettingData, theme_name: theme.Theme) -> go.Figure:
    """The matrix (with a reference: ours minus theirs) on the left, the curves on the right."""
    message = message_of(data)
    if message is not None:
        return go.Figure(layout=layout_of(theme_name, message, 120))
    measure, palette = data.measure, theme.PALETTES[theme_name]
    difference = None if data.reference is None else data.reference.difference
    shown, form = (data.values, measure.form) if difference is None else (difference, measure.form_difference)
    heading = measure.short if difference is None else f"{measure.short}: this run − reference"
    figure = make_subplots(1, 2, column_widths=[0.45, 0.55], subplot_titles=[heading, measure.label])
    low, high = data.domain
    log = measure.scale == "log" and difference is None
    if difference is not None:
        low, high = -difference_reach(data), difference_reach(data)
    signed = difference is not None or measure.colors == "deviation"
    colors = theme.deviations(theme_name) if signed else theme.magnitudes()
    names = [after_label(after) for after in data.rows]
    figure.add_heatmap(
        z=np.log10(np.clip(shown, low, high)) if log else shown,
        x=[f"block {block}" for block in range(data.blocks)],
        y=names,
        zmin=np.log10(low) if log else low,
        zmax=np.log10(high) if log else high,
        colorscale=[[place / 8, to_hex(colors(place / 8))] for place in range(9)],
        customdata=[[form(value) for value in row] for row in shown],
        hovertemplate="%{x}, %{y}: %{customdata}<extra></extra>",
        showscale=False,
        xgap=1,
        ygap=1,
        row=1,
        col=1,
    )
    for block in range(data.blocks):
        points = data.curve(block)
        roles = [name for name, one in (("worst", data.worst), ("selected", data.selected)) if one == block]
        color = palette.line if not roles else palette.accent if block == data.selected else palette.error
        if points:
            figure.add_scatter(
                x=[names[place] for place, _ in points],
                y=[value for _, value in points],
                name=" ".join([f"block {block}", *(f"({role})" for role in roles)]),
                mode="lines+markers",
                line={"width": 3 if roles else 1, "color": color},
                showlegend=bool(roles),
                row=1,
                col=2,
            )
    label, number, words = lines_of(data)[0]
    figure.update_layout(layout_of(theme_name, f"{theme.shown_name(data.run)}: {label} {number} {words}"))
    figure.update_yaxes(autorange="reversed", row=1, col=1)
    if measure.scale == "log":
        figure.update_yaxes(type="log", row=1, col=2)
    return figure
