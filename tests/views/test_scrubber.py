"""The scrubber's data, words and picture, held against the record."""

from __future__ import annotations

import json

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.views import scrubber, theme
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun


def test_it_tells_where_the_run_stood(run):
    block = next(e for e in run.events(kinds=("BlockFinished",)) if e.block == 1)
    data = scrubber.scrubber_data(run, as_of=block.seq)
    assert scrubber.place_of(data) == "layers, block 1"
    assert data.replayed
    first, *stages = scrubber.text(data).splitlines()
    assert f"event {block.seq} of {run.last_seq}: " in first
    assert [line.split(":")[0] for line in stages] == ["layers", "audit"]
    assert stages[0].endswith(", 3 blocks")
    assert scrubber.place_of(scrubber.scrubber_data(run, as_of=1)) == "before the first stage"
    assert scrubber.place_of(scrubber.scrubber_data(run)) == "evaluation"
    assert "(the newest)" in scrubber.text(scrubber.scrubber_data(run))


def test_the_payload_is_small_and_holds_every_stop(run):
    payload = plain(scrubber.payload(scrubber.scrubber_data(run)))
    assert json.loads(json.dumps(payload)) == payload
    assert set(payload["stops"]) <= set(payload["seqs"])
    assert len(payload["seconds"]) == len(payload["seqs"])
    assert payload["last"] == run.last_seq
    assert payload["live"] is False


def test_a_live_run_has_an_open_end(live_once):
    data = scrubber.scrubber_data(live_once)
    assert data.live
    assert scrubber.payload(data)["stages"][-1][3] is False
    assert "goes on" in scrubber.text(data)


@pytest.fixture
def live_once(tmp_path):
    writer, stream, run = tinyrun.live_run(tmp_path / "run")
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    yield run
    writer.close()


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_picture_has_the_width_of_all_pictures(run, name):
    figure = scrubber.picture(scrubber.scrubber_data(run, as_of=20), name)
    assert theme.png(figure, name)[:4] == b"\x89PNG"
    assert figure.get_figwidth() * theme.DPI == theme.WIDTH_PX


def test_the_table_has_a_row_for_each_block(run):
    rows = scrubber.table(scrubber.scrubber_data(run))
    assert len(rows) == len(run.events(kinds=("BlockStarted",)))
    assert all(row["begins_seconds"] <= row["ends_seconds"] for row in rows)
