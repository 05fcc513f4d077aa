"""A run as pandas tables: what views and analysis read.

Knows nothing about how pictures are drawn, and never imports torch: a run recorded on a GPU server
opens anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperprune_lab.record.store import RecordedEvent, Store

_MOST_BLOCKS = 4096


def open_run(path: Path | str) -> Run:
    """Open a run directory for reading, running or not.

    Raises:
        UserError: no run, damaged, foreign, or of a newer version.
    """
    return Run(path)


class Run(Store):
    """A recorded run; see ``Store`` for masks, arrays, weights, events and state."""

    def coverage(self) -> pd.DataFrame:
        """One row per parameter of the model: what will be pruned, what not, and why."""
        return pd.DataFrame(self.started.get("coverage", []))

    def metrics(self, stage: str | None = None, block: int | None = None) -> pd.DataFrame:
        """Telemetry of optimization steps in long form: ``seq, stage, block, step, name, value``.

        ``block`` is missing in whole-model stages. A value that was measured and is no number is NaN;
        one that was not measured has no row.
        """
        query = (
            "SELECT event.seq, stage, block, step, name, value "
            "FROM event JOIN metric ON metric.seq = event.seq WHERE event.kind = 'StepMeasured'"
        )
        values: list[Any] = []
        for column, value in (("stage", stage), ("block", block)):
            if value is not None:
                query += f" AND {column} = ?"
                values.append(value)
        with self._reading() as connection:
            rows = connection.execute(f"{query} ORDER BY event.seq, name", values).fetchall()
        table = pd.DataFrame(rows, columns=["seq", "stage", "block", "step", "name", "value"])
        return table.astype({"seq": "int64", "block": "Int64", "step": "int64", "value": "float64"})

    def modules(self, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
        """One row per pruned linear: its newest decision; of one stage, or as it stood at event ``as_of``.

        Columns ``module, stage, block, seq, pattern, out_features, in_features, provisional``, then one per
        scalar, of the decision itself or measured after it and before the module's next one. A decision is
        provisional while a later stage may still change it, or once one has.
        """
        newest: dict[str | None, int] = {}
        chosen: dict[str | None, RecordedEvent] = {}
        for event in self.events(kinds=("ModuleDecided", "ModuleMeasured")):
            decided = event.kind == "ModuleDecided"
            if decided:
                newest[event.subject] = event.seq
            if as_of is not None and event.seq > as_of:
                continue
            if decided and stage in (None, event.stage):
                chosen[event.subject] = event
            elif event.subject in chosen and newest[event.subject] == chosen[event.subject].seq:
                chosen[event.subject].scalars.update(event.scalars)
        last_stage = (self.started.get("stages") or [None])[-1]
        finished = self.state == "finished"

        def fields(event: RecordedEvent) -> dict[str, Any]:
            out_features, in_features = event.payload["shape"]
            settled = event.seq == newest[event.subject] and (finished or event.stage == last_stage)
            return {
                "pattern": event.payload["pattern"],
                "out_features": out_features,
                "in_features": in_features,
                "provisional": not settled,
            }

        columns = ("pattern", "out_features", "in_features", "provisional")
        return self._table(list(chosen.values()), "module", columns, fields)

    def inputs(self, stage: str | None = None) -> pd.DataFrame:
        """One row per distinct input of a block: its newest measurement (of ``stage``, if given).

        Columns ``input, stage, block, seq, modules``, then one per scalar.
        """
        chosen = {
            (event.block, event.subject): event
            for event in self.events(kinds=("InputMeasured",))
            if stage in (None, event.stage)
        }
        return self._table(list(chosen.values()), "input", ("modules",))

    def blocks(self, stage: str | None = None) -> pd.DataFrame:
        """One row per finished block and stage.

        Columns ``stage, block, seq, seconds, peak_memory_bytes``, then one per scalar.
        """
        events = [e for e in self.events(kinds=("BlockFinished",)) if stage in (None, e.stage)]
        return self._table(events, "", ("seconds", "peak_memory_bytes"))

    def evaluations(self) -> pd.DataFrame:
        """One row per evaluation.

        Columns ``subject, stage, block, seq, state, protocol, texts``, then one per scalar.
        """
        events = self.events(kinds=("EvaluationFinished",))
        return self._table(events, "subject", ("state", "protocol", "texts"))

    def forgetting(self, name: str) -> pd.DataFrame:
        """The forgetting matrix of one measure: row = after training a block, column = block asked again.

        Square, NaN where not measured (or not yet). If it was measured, a last row -1 is "after the final
        stage".
        """
        with self._fitting():
            rows = {
                int(event.payload["after"]): np.asarray(event.payload["values"].get(name, []), dtype=float)
                for event in self.events(kinds=("ForgettingMeasured",))
            }
            blocks = [int(event.payload["blocks"]) for event in self.events(kinds=("StageStarted",))]
            size = max([0, *blocks, *(len(row) for row in rows.values()), *(row + 1 for row in rows)])
            if size > _MOST_BLOCKS:
                raise ValueError(f"{size} blocks")
            index = pd.Index([*range(size), *([-1] if -1 in rows else [])], name="after")
            matrix = np.full((len(index), size), np.nan)
            for after, values in rows.items():
                matrix[after, : len(values)] = values
        return pd.DataFrame(matrix, index=index, columns=pd.RangeIndex(size, name="block"))

    def _table(
        self,
        events: list[RecordedEvent],
        subject: str,
        columns: tuple[str, ...],
        fields: Callable[[RecordedEvent], dict[str, Any]] | None = None,
    ) -> pd.DataFrame:
        """One row per event: its subject (under that name, if any), its place, ``columns``, its scalars.

        The columns come from ``fields`` or else from the payload; a scalar never hides one of them.
        """
        rows = []
        with self._fitting():
            for event in events:
                known = event.payload if fields is None else fields(event)
                place = {"stage": event.stage, "block": event.block, "seq": event.seq}
                named = {subject: event.subject} if subject else {}
                rows.append({**event.scalars, **{name: known[name] for name in columns}, **place, **named})
        names = [*([subject] if subject else []), "stage", "block", "seq", *columns]
        return pd.DataFrame(
            rows, columns=list(dict.fromkeys([*names, *(name for row in rows for name in row)]))
        )
