"""The outlier channels in data, words and pictures: the record's numbers, at every moment, and names that stay text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab.analysis.outliers import channels, dumbbells, readers, summary
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import outliers, theme
from hyperprune_lab.views.outliers import (
    headline,
    outliers_data,
    payload,
    picture,
    price,
    short_input,
    table,
    text,
)
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = tinyrun.Tiny(blocks=2, outliers=False, method="wanda")
    return tinyrun.write_run(tmp_path_factory.mktemp("quiet") / "run", tiny)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = tinyrun.Tiny(blocks=1, locals_=(tinyrun.HOSTILE, "self_attn.q_proj"))
    return tinyrun.write_run(tmp_path_factory.mktemp("hostile") / "run", tiny)


def test_the_numbers_are_those_of_the_analysis(run: Run):
    data = outliers_data(run)
    full = summary(readers(run))
    step = data.step
    assert (step.threshold, step.count, step.inputs) == (6.0, full.count, full.inputs)
    assert step.keep_rate == pytest.approx(full.keep_rate)
    assert step.keep_rate_wanda == pytest.approx(full.keep_rate_wanda)
    assert step.price == pytest.approx(full.price)
    assert step.kept_energy == pytest.approx(full.kept_energy)
    expected = dumbbells(readers(run), top=outliers.TOP)
    assert [(p.block, p.input, p.channel) for p in data.top] == [
        (row.block, row.input, row.channel) for row in expected.itertuples()
    ]
    np.testing.assert_allclose([p.keep_rate for p in data.top], expected["keep_rate"])
    np.testing.assert_allclose([p.price_magnitude for p in data.top], expected["neighbors_magnitude"])
    assert data.channels == len(channels(readers(run))) == len(data.points) + data.crowd.sum()


def test_text_and_payload_say_the_same(run: Run):
    data = outliers_data(run, pinned=("model.layers.1.mlp.up_proj", 5))
    said, sent = text(data), plain(payload(data))
    json.dumps(sent, allow_nan=False)
    threshold, rule, head, cost = sent["steps"][sent["step"]]
    assert threshold == 6.0
    assert rule in said
    assert head in said
    assert cost in said
    assert head == headline(data, data.step)
    assert theme.fmt_share(data.step.keep_rate) in head
    assert "Wanda" in head
    assert f"neighbors keep {theme.fmt_share(data.step.price)}" in price(data, data.step)
    for point, one in zip(sent["points"][: sent["top"]], data.top, strict=True):
        which, channel, ratio, kept = point[:4]
        assert sent["inputs"][which][:2] == [one.block, one.input]
        assert f"{one.name}: {theme.fmt_number(ratio)} × median, kept {theme.fmt_share(kept)}" in said
        assert channel == one.channel
    assert "pinned: block 1 up 5" in said
    assert sent["pinned"][1] == 5


def test_the_threshold_goes_in_steps_and_every_step_has_its_sentence(run: Run):
    data = outliers_data(run, threshold=1.02)
    assert data.step.threshold == 1.0
    assert [s.threshold for s in data.steps] == sorted(s.threshold for s in data.steps)
    every = readers(run)
    for step in data.steps:
        full = summary(every, step.threshold)
        assert step.count == full.count
        assert step.rule == full.rule
    assert outliers_data(run, threshold=1e9).step.threshold == data.steps[-1].threshold


def test_inputs_can_be_chosen(run: Run):
    assert outliers_data(run, chosen="mlp.up_proj").inputs == 3
    assert outliers_data(run, chosen="mlp.up_proj", block=1).inputs == 1
    assert outliers_data(run, block=0).inputs == 4
    selection = ("model.layers.2.self_attn.q_proj", "model.layers.0.mlp.up_proj")
    data = outliers_data(run, chosen="selection", selection=selection)
    assert {(p.block, p.input) for p in data.points} == {(2, "self_attn.q_proj"), (0, "mlp.up_proj")}
    nothing = outliers_data(run, chosen="selection")
    assert "No input of the selection" in text(nothing)
    picture(nothing)


def test_without_outliers_it_says_so(quiet: Run):
    data = outliers_data(quiet)
    assert "No channel is an outlier: none reaches 6 × the median" in text(data)
    assert "loudest has 1.00 ×" in text(data)
    assert price(data, data.step) == ""
    assert data.references == ("magnitude",)
    assert "Wanda 7" not in text(data)


def test_a_run_in_the_making_shows_the_blocks_that_are_finished(run: Run):
    ends = [event.seq for event in run.events(kinds=("BlockFinished",))]
    early, later = outliers_data(run, as_of=ends[0] - 1), outliers_data(run, as_of=ends[1])
    assert "No block is finished yet" in text(early)
    assert early.points == ()
    assert later.inputs == 8
    assert text(later).splitlines()[2].startswith("So far: ")
    assert "2 of 3 blocks are finished" in text(later)
    assert "So far" not in text(outliers_data(run))
    for data in (early, later):
        plain(payload(data))
        assert picture(data, "dark").axes


def test_names_stay_text(hostile: Run):
    data = outliers_data(hostile)
    assert "block 0 <img" in text(data)
    assert tinyrun.HOSTILE in {point.input for point in data.points}
    picture(data).canvas.draw()
    markup = outliers.figure(data).to_json()
    assert "<img" not in markup
    assert "\\u003cimg" not in markup


def test_pictures_are_1008_pixels_wide_and_opaque(run: Run, tmp_path: Path):
    from matplotlib.image import imread

    theme_name: theme.Theme = "dark"

    file = tmp_path / "outliers.png"
    file.write_bytes(theme.png(picture(outliers_data(run, fit=True), theme_name), theme_name))
    pixels = imread(file)
    assert pixels.shape[1] == 2 * theme.WIDTH_PX
    assert (pixels[..., -1] == 1).all()


def test_the_chart_holds_all_points_and_masks(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outliers, "SHOWN", 30)
    data = outliers_data(run)
    chart = outliers.figure(data, "dark")
    masks = [trace for trace in chart.data if trace.type == "scatter"]
    assert [len(trace.x) for trace in masks] == [len(data.points)] * 3
    assert [trace.name for trace in masks] == ["this run (HyperPrune)", "Wanda", "magnitude"]
    shading = next(trace for trace in chart.data if trace.type == "heatmap")
    assert np.nansum(shading.customdata) == data.crowd.sum()


def test_the_table_has_a_row_for_each_point(run: Run):
    data = outliers_data(run)
    rows = table(data)
    assert len(rows) == len(data.points)
    assert sum(row["outlier"] for row in rows) == data.step.count
    assert rows[0]["keep_rate"] == data.points[0].keep_rate


def test_what_is_out_of_the_domain_still_has_a_place(run: Run):
    data = outliers_data(run)
    far = dataclasses.replace(data.points[0], ratio=5000.0)
    silent = dataclasses.replace(data.points[0], keep_rate=None, kept_energy=None)
    odd = dataclasses.replace(data, points=(far, silent, *data.points[1:]))
    plain(payload(odd))
    picture(odd).canvas.draw()
    assert "5000 × median" in text(odd)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("self_attn.q_proj+k_proj+v_proj", "q+k+v"),
        ("mlp.down_proj", "down"),
        ("h.c_attn", "c_attn"),
        ("_proj", "_proj"),
        ("mlp.experts.3.gate_proj+up_proj", "gate+up #3"),
    ],
)
def test_inputs_have_short_names(name: str, short: str):
    assert short_input(name) == short
