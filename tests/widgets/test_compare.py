"""The live comparison without a browser: runs added and pinned by message, one writer, exports, live runs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.widgets.assets import LARGEST_BYTES
from hyperprune_lab.widgets.compare import Compare
from hyperprune_lab.widgets.desk import Desk
from tests.widgets import readrun
from tests.widgets.readrun import Read
from tests.widgets.wire import tell

READS = (
    Read(name="held", seed=1),
    Read(name="ours", seed=2, method="hyperprune", shift=0.2),
    Read(name="third", seed=3, shift=0.4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs side by side."""
    folder = tmp_path_factory.mktemp("runs")
    for read in READS:
        readrun.write(folder, read)
    return folder


@pytest.fixture
def view(folder) -> Iterator[Compare]:
    view = Compare([folder / "held", folder / "ours"])
    assert view.desk.settle()
    yield view
    view.close()
    view.desk.close()


def say(view: Compare, kind: str, **content: object) -> None:
    tell(view, kind, serial=view.heard + 1, **content)
    assert view.desk.settle()


def keys(view: Compare) -> list[str]:
    return [row["key"] for row in view.payload["rows"]]


def test_of_a_list_the_first_is_the_reference(view, folder):
    assert keys(view) == ["held", "ours"]
    assert (view.payload["reference"], view.payload["focus"]) == ("held", "ours")
    assert view.state == "finished"
    assert view.payload["headline"] in view.text
    assert len(view._esm.encode()) < LARGEST_BYTES
    table = view.table().set_index("run")
    assert table.loc["ours", "mask-only perplexity"] == pytest.approx(
        READS[1].scalars("mask-only")["perplexity"]
    )
    with pytest.raises(UserError, match="name runs"):
        Compare([])


def test_runs_are_added_pinned_and_taken_away_by_message(view):
    assert "third" in dict(view.payload["candidates"])
    say(view, "add", run="third")
    assert keys(view) == ["held", "ours", "third"]
    assert view.payload["focus"] == "third"
    assert "third" not in dict(view.payload["candidates"])
    say(view, "pin", run="third")
    assert view.payload["reference"] == "third"
    assert set(keys(view)) == {"held", "ours", "third"}, "who was the reference stays"
    assert view.payload["focus"] == "ours"
    say(view, "remove", run="held")
    assert keys(view) == ["third", "ours"]
    say(view, "pin", run="")
    assert view.payload["reference"] is None
    assert view.payload["against"] == "dense"
    say(view, "open", run="third")
    assert view.desk.run.directory.root.name == "third"
    assert "ours" in keys(view)


@pytest.mark.parametrize("kind", ["add", "pin", "open", "remove"])
def test_nobody_is_opened_by_a_path_or_an_unknown_name(view, kind):
    before = view.desk.run, view.desk.reference
    for name in ("nobody", "../held", "/etc", "x" * 5000):
        say(view, kind, run=name)
        assert keys(view) == ["held", "ours"]
        assert (view.desk.run, view.desk.reference) == before
        assert view.state == "finished"


def test_options_come_from_the_browser(view):
    say(view, "option", name="sort", value="-mask-only/perplexity")
    assert view.payload["sort"] == "-mask-only/perplexity"
    say(view, "option", name="weights", value="compensated")
    assert view.payload["words"]["state"] == "compensated"
    say(view, "option", name="against", value="dense")
    assert view.payload["words"]["theirs"] == "dense"
    say(view, "option", name="domain", value="ledger")
    say(view, "option", name="page", value=2)
    assert [view.payload["words"]["pages"][0][key] for key in ("domain", "number")] == ["ledger", 2]
    before = view.payload
    for name, value in (("sort", "os.remove"), ("weights", "best"), ("page", -5), ("against", 3)):
        say(view, "option", name=name, value=value)
    assert view.payload == before
    say(view, "option", name="focus", value="held")
    assert view.payload["focus"] == "held"
    assert view.payload["against"] == "dense"


def test_only_the_pump_writes(folder, wire):
    view = Compare([folder / "held", folder / "ours"])
    assert view.desk.settle()
    say(view, "add", run="third")
    say(view, "option", name="measure", value="weights")
    assert wire.updates()
    assert {message.thread for message in wire.updates()} == {"hyperprune-lab pump"}
    say(view, "ask", id=1, key=None, what={"name": "latex"})
    say(view, "ask", id=2, key=None, what={"name": "parquet"})
    latex, parquet = wire.answers()
    assert bytes(latex.buffers[0]).decode() == view.latex()
    frame = pd.read_parquet(io.BytesIO(bytes(parquet.buffers[0])))
    pd.testing.assert_frame_equal(frame, view.table(), check_dtype=False)
    view.close()
    view.desk.close()


def test_the_table_is_written_where_it_is_asked_for(view, tmp_path):
    found = pd.read_parquet(view.parquet(tmp_path / "runs.parquet"))
    assert found["run"].tolist() == ["held", "ours"]
    with pytest.raises(UserError, match="no folder"):
        view.parquet(tmp_path / "nowhere" / "runs.parquet")


def test_a_run_that_went_away_leaves_the_others(view):
    view.others = ["gone"]
    assert view.desk.settle()
    assert view.state == "finished"
    assert keys(view) == ["held", "ours"]


def test_a_live_run_fills_its_row(folder, tmp_path):
    stream = readrun.events(Read(name="live", seed=9))
    with RecordWriter.create(tmp_path / "live") as writer:
        writer.write(next(stream))
        writer.flush()
        view = Compare(open_run(tmp_path / "live"), reference=folder / "held")
        assert view.desk.settle()
        assert view.state == "live"
        assert view.payload["map"]["overall"] is None
        row = next(row for row in view.payload["rows"] if row["key"] == "live")
        assert row["cells"]["mask-only/perplexity"][1] == "not yet"
        for event in stream:
            writer.write(event)
            if isinstance(event, ev.BlockFinished):
                break
        writer.flush()
        assert view.desk.settle()
        assert view.payload["map"]["overall"] is not None
        assert "no mask-only losses yet" in view.text
        for event in stream:
            writer.write(event)
    assert view.desk.settle()
    assert view.state == "finished"
    assert view.payload["words"]["problem"] == ""
    view.close()
    view.desk.close()


def test_without_a_run_and_with_one(folder):
    nothing = Compare()
    assert nothing.desk.settle()
    assert nothing.state == "empty"
    nothing.close()
    nothing.desk.close()
    desk = Desk(folder / "ours")
    with_one = Compare(desk)
    assert desk.settle()
    assert with_one.payload["against"] == "dense"
    assert keys(with_one) == ["ours"]
    module = with_one.payload["map"]["cells"][0][0][0]
    desk.select([module])
    assert desk.settle()
    assert with_one.selection == [module]
    with_one.close()
    desk.close()
