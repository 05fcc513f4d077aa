"""Outlier channels as a plotly figure, for analysis cells: zoom, hover, and the three masks to switch on and off.

Knows nothing about runs: it draws what ``outliers`` gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_rgba

from hyperprune_lab.analysis.channel_digest import GRID, RATIOS
from hyperprune_lab.views import theme
from hyperprune_lab.views.charts import decades, layout_of, plotly_symbol, plotly_text

if TYPE_CHECKING:
    from hyperprune_lab.views.outliers import OutliersData


def chart_outliers(data: OutliersData, theme_name: theme.Theme) -> go.Figure:
    """Loudness against keep-rate, one trace a mask; the threshold and n/m as lines."""
    from hyperprune_lab.views.outliers import headline

    palette = theme.PALETTES[theme_name]
    figure = go.Figure()
    if data.crowd.any():
        counts = np.where(data.crowd.T > 0, data.crowd.T, np.nan)
        soft = to_rgba(palette.soft)[:3]
        shades = [f"rgba({','.join(f'{255 * part:.0f}' for part in soft)},{alpha})" for alpha in (0.1, 0.65)]
        figure.add_heatmap(
            x=np.geomspace(*RATIOS, GRID[0] + 1),
            y=np.linspace(0, 1, GRID[1] + 1),
            z=np.log1p(counts),
            customdata=counts,
            colorscale=[[0, shades[0]], [1, shades[1]]],
            showscale=False,
            name="quieter channels",
            hovertemplate="%{customdata:.0f} quieter channels<extra></extra>",
        )
    fields = [(data.method, "keep_rate"), *((name, f"keep_rate_{name}") for name in data.references)]
    for method, field in fields:
        style = theme.method_style(method)
        color = getattr(style, theme_name)
        shown = [point for point in data.points if getattr(point, field) is not None]
        own = field == "keep_rate"
        figure.add_scatter(
            x=[point.ratio for point in shown],
            y=[getattr(point, field) for point in shown],
            mode="markers",
            name=f"this run ({style.label})" if own else style.label,
            visible=True if own else "legendonly",
            marker={
                "symbol": "circle" if own else f"{plotly_symbol(style.marker)}-open",
                "size": [
                    5 + 10 * (1 if point.kept_energy is None else point.kept_energy) ** 0.5 for point in shown
                ]
                if own
                else 8,
                "color": color,
                "opacity": [0.8 if point.ratio >= data.step.threshold else 0.3 for point in shown]
                if own
                else 0.8,
            },
            text=[
                f"{plotly_text(point.name)}<br>kept {theme.fmt_share(getattr(point, field))}, energy "
                f"{theme.fmt_share(point.kept_energy)}, price {theme.fmt_share(point.price)}"
                for point in shown
            ],
            hovertemplate="%{text}<br>%{x:.3g} × median<extra>%{fullData.name}</extra>",
        )
    for density in data.densities:
        figure.add_hline(y=density, line={"dash": "dash", "color": palette.ink, "width": 1})
    figure.add_vline(x=data.step.threshold, line={"color": palette.accent, "width": 2})
    figure.update_layout(layout_of(theme_name, headline(data, data.step)))
    figure.update_xaxes(decades(data.domain), title="channel RMS over the median of its input")
    figure.update_yaxes(title="share of its weights that is kept", range=[0, 1], tickformat=".0%")
    return figure
