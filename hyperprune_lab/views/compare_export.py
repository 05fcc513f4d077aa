"""The table of runs for papers and other programs: LaTeX and Parquet.

Knows nothing about runs: it writes what ``compare`` gathered.
"""

from __future__ import annotations

import io

import pandas as pd

from hyperprune_lab.views import theme
from hyperprune_lab.views.compare import CompareData, Row, table
from hyperprune_lab.views.compare_columns import GROUPS, Column

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "\u202f": r"\,",
}
_LEVEL = 3
"""Columns up to this level go to a paper."""


def latex(data: CompareData) -> str:
    """A ``tabular`` for the package booktabs: the best are bold, runs of another protocol stand below a rule."""
    columns = [c for c in data.columns if c.level <= _LEVEL and _measured(data, c)]
    named = [name for name in GROUPS if any(column.group == name for column in columns)]
    spans, rules, at = [], [], 3
    for name in named:
        width = sum(column.group == name for column in columns)
        spans.append(f"\\multicolumn{{{width}}}{{c}}{{{escape(GROUPS[name])}}}")
        rules.append(f"\\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    lines = [
        f"\\begin{{tabular}}{{ll{'r' * len(columns)}}}",
        "\\toprule",
        f" & & {' & '.join(spans)} \\\\",
        " ".join(rules),
        f"run & method & {' & '.join(escape(column.label) for column in columns)} \\\\",
    ]
    for number, group in enumerate(data.groups):
        lines.append("\\midrule")
        if group.differs:
            fields = ", ".join(one.field for one in group.differs)
            lines.append(f"\\multicolumn{{{2 + len(columns)}}}{{l}}{{\\emph{{other {escape(fields)}}}}} \\\\")
        lines += [_line(data, row, columns) for row in data.rows_of(number)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def parquet(data: CompareData) -> bytes:
    """One row a run, with every figure unrounded."""
    out = io.BytesIO()
    pd.DataFrame(table(data)).to_parquet(out, index=False)
    return out.getvalue()


def escape(text: str) -> str:
    """As LaTeX prints it, sign by sign."""
    return "".join(_ESCAPES.get(sign, sign) for sign in theme.shown_name(text))


def _line(data: CompareData, row: Row, columns: list[Column]) -> str:
    name = escape(row.key) + (" (reference)" if row.key == data.reference else "")
    cells = []
    for column in columns:
        cell = row.cells[column.key]
        shown = escape(cell.shown)
        cells.append(f"\\textbf{{{shown}}}" if cell.mark == "best" else shown)
    return f"{name} & {escape(f'{row.method} {row.standing.pattern}')} & {' & '.join(cells)} \\\\"


def _measured(data: CompareData, column: Column) -> bool:
    return any(row.cells[column.key].value is not None for row in data.rows)
