"""The hypernetwork's strips as a plotly figure, for analysis cells.

Knows nothing about runs: it draws what ``hypernetwork`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hyperprune_lab.views import theme
from hyperprune_lab.views.charts import layout_of, log_range, plotly_dash
from hyperprune_lab.views.hypernetwork_picture import lines_by_strip
from hyperprune_lab.views.hypernetwork_words import facts_of, message_of

if TYPE_CHECKING:
    from hyperprune_lab.views.hypernetwork import HypernetworkData

_HEIGHTS = [0.4, 0.16, 0.22, 0.22]


def chart_hypernetwork(data: HypernetworkData, theme_name: theme.Theme) -> go.Figure:
    """Loss terms, temperature, entropy with its band, and agreement, on one step axis; every step is drawn."""
    from hyperprune_lab.views.hypernetwork import TEMPERATURE_DOMAIN

    message = message_of(data)
    if message is not None:
        return go.Figure(layout=layout_of(theme_name, message, 120))
    palette = theme.PALETTES[theme_name]
    strips = lines_by_strip(data, theme_name)
    figure = make_subplots(4, 1, shared_xaxes=True, vertical_spacing=0.04, row_heights=_HEIGHTS)
    x = np.arange(len(data.steps))
    if data.banded:
        for name, fill in (("entropy_p10", None), ("entropy_p90", "tonexty")):
            figure.add_scatter(
                x=x,
                y=data.column(name),
                mode="lines",
                line={"width": 0, "color": palette.accent},
                fill=fill,
                name="10 to 90 % of groups",
                showlegend=fill is not None,
                row=3,
                col=1,
            )
    for row, (name, lines) in enumerate(strips.items(), 1):
        for line in lines:
            dash = line.dash[1] if isinstance(line.dash, tuple) else ()
            figure.add_scatter(
                x=x,
                y=data.column(line.column),
                mode="lines",
                name=f"{name}: {line.label}",
                line={"color": line.color, "dash": plotly_dash(dash), "width": 1.5 * line.width},
                row=row,
                col=1,
            )
        figure.update_yaxes(title=name, row=row, col=1)
    for one in data.stretches:
        label = str(one.block) if one.block is not None else one.label
        figure.add_vline(x=one.start - 0.5, line={"color": palette.grid, "width": 1})
        figure.add_annotation(
            x=(one.start + one.stop) / 2,
            y=1.0,
            xref="x",
            yref="paper",
            text=label,
            showarrow=False,
            yanchor="bottom",
        )
    figure.update_layout(
        layout_of(theme_name, f"{theme.shown_name(data.run)}: {' · '.join(facts_of(data))}", 620)
    )
    figure.update_yaxes(type="log", range=log_range(TEMPERATURE_DOMAIN), row=2, col=1)
    for row in (3, 4):
        figure.update_yaxes(range=[0, 1], row=row, col=1)
    figure.update_xaxes(title="step", row=4, col=1)
    return figure
