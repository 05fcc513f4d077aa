"""The reconstruction view in data, words and pictures: the record's numbers, at every moment, names that stay text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab.analysis import reconstruction as facts
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import reconstruction, theme
from hyperprune_lab.views.reconstruction import (
    Compensated,
    Parts,
    Shares,
    payload,
    picture,
    reconstruction_data,
    table,
    text,
)
from hyperprune_lab.views.reconstruction_words import OURS, about_shares, sum_of
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun

FOCUS = "model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Run:
    locals_ = ("self_attn.q_proj", *(f"mlp.experts.{n}.up_proj" for n in range(3)))
    tiny = tinyrun.Tiny(blocks=2, locals_=locals_, method="wanda")
    return tinyrun.write_run(tmp_path_factory.mktemp("experts") / "run", tiny)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = tinyrun.Tiny(blocks=1, locals_=(tinyrun.HOSTILE, "self_attn.q_proj"))
    return tinyrun.write_run(tmp_path_factory.mktemp("hostile") / "run", tiny)


def test_the_curves_are_the_recorded_errors(run: Run):
    data = reconstruction_data(run)
    errors = facts.errors(run).set_index(["module", "method"])["error_rel"]
    assert [panel.name for panel in data.panels] == [*tinyrun.ATTENTION, *tinyrun.MLP]
    for panel in data.panels:
        assert panel.experts == 1
        for method, curve in panel.curves.items():
            assert [point.block for point in curve] == [0, 1, 2]
            for point in curve:
                assert point.value == point.worst == errors[point.module, method]
    assert data.worst is not None
    assert data.worst.worst == errors.xs(OURS, level="method").max()
    assert data.means["wanda"] == pytest.approx(errors.xs("wanda", level="method").mean())


def test_parts_rows_and_shares_are_those_of_the_selection(run: Run):
    data = reconstruction_data(run, selection=(FOCUS, "model.layers.2.self_attn.q_proj"))
    table = facts.decomposition(run).set_index("module")
    assert [parts.module for parts in data.parts] == [FOCUS, "model.layers.2.self_attn.q_proj"]
    for parts in data.parts:
        for part in facts.PARTS:
            assert getattr(parts, part) == table.loc[parts.module, part]
        assert parts.local + parts.inherited + parts.cross == pytest.approx(parts.total)
    arrays = run.evidence("module", FOCUS)
    worst = np.argsort(-arrays["row_errors"])[: reconstruction.BARS]
    assert [row.row for row in data.rows] == list(worst)
    assert data.shares is not None
    total = arrays["channel_shares"].sum()
    first = data.shares.channels[0]
    assert first[1] == pytest.approx(arrays["channel_shares"][first[0]] / total)
    assert data.shares.others == 16 - len(data.shares.channels)
    assert data.shares.positive + data.shares.negative == pytest.approx(1.0)


def test_pairs_are_the_focus_and_the_largest_gaps(run: Run):
    data = reconstruction_data(run, selection=(FOCUS,))
    gaps = facts.held_out(run)
    assert data.pairs[0].module == FOCUS
    assert len(data.pairs) == reconstruction.BARS
    assert data.median_ratio == pytest.approx(gaps["ratio"].median()) == pytest.approx(1.1)
    assert data.paired == len(gaps)


def test_text_and_payload_say_the_same(run: Run):
    data = reconstruction_data(run, selection=(FOCUS,))
    said, sent = text(data), plain(payload(data))
    json.dumps(sent, allow_nan=False)
    assert sent["headline"] in said
    for panel in sent["panels"]:
        for block, value, worst, module in panel["ours"]:
            assert f"{block}: {theme.fmt_error(value)}" in said
            assert module.endswith(panel["name"])
            assert worst == value
        assert [point[0] for point in panel["wanda"]] == [0, 1, 2]
    assert sent["parts"][0]["sum"] in said
    assert sent["formula"] in said
    assert sent["no_sum"] in said
    assert sent["about_pairs"] in said
    assert sent["shares"]["about"] in said
    for row in sent["rows"]:
        assert f"{row['row']}: {theme.fmt_share(row['share'])}" in said


def test_the_cross_term_and_negative_shares_keep_their_sign():
    parts = Parts("m", local=0.1, inherited=0.5, cross=-0.25, total=0.35)
    assert sum_of(parts) == "0.500 inherited + 0.100 local − 0.250 cross = 0.350 total"
    assert " + 0.250 cross" in sum_of(dataclasses.replace(parts, cross=0.25))
    shares = Shares(((3, 0.9), (1, -0.4)), positive=1.5, negative=-0.5, rest=0.5, others=14)
    assert about_shares(shares) == "positive +150 %, negative −50 %; 14 others +50 %"


def test_a_negative_share_is_drawn(run: Run):
    data = reconstruction_data(run, selection=(FOCUS,))
    odd = dataclasses.replace(
        data, shares=Shares(((3, 0.9), (1, -0.4)), positive=1.5, negative=-0.5, rest=0.5, others=14)
    )
    assert "1: −40 %" in text(odd)
    picture(odd, "dark").canvas.draw()


def test_before_the_audit_the_parts_are_not_known_yet(run: Run):
    ends = [event.seq for event in run.events(kinds=("BlockFinished",))]
    data = reconstruction_data(run, as_of=ends[1], selection=(FOCUS,))
    assert data.parts == ()
    assert "not yet: the audit measures them" in text(data)
    assert text(data).splitlines()[1].startswith("So far 8 of 12 linears: mean relative error")
    assert data.provisional
    assert "a later stage may still change these masks" in text(data)
    assert [point.block for point in data.panels[0].ours] == [0, 1]
    assert data.rows
    picture(data)


def test_arrays_appear_with_the_end_of_their_block(run: Run):
    ends = [event.seq for event in run.events(kinds=("BlockFinished",))]
    module = "model.layers.0.mlp.down_proj"
    before = reconstruction_data(run, as_of=ends[0] - 1, selection=(module,))
    assert before.focus_errors
    assert before.rows == ()
    assert before.shares is None
    assert reconstruction_data(run, as_of=ends[0], selection=(module,)).rows


def test_an_empty_run_says_not_yet(run: Run):
    data = reconstruction_data(run, as_of=2)
    assert "No linear has been decided yet." in text(data)
    assert text(data).count("not yet") == 5
    plain(payload(data))
    picture(data).canvas.draw()
    reconstruction.figure(data)


def test_experts_are_one_panel_with_median_and_worst(experts: Run):
    data = reconstruction_data(experts)
    panel = data.panels[1]
    assert (panel.name, panel.experts) == ("mlp.experts.*.up_proj", 3)
    errors = facts.errors(experts)
    ours = errors[(errors["method"] == OURS) & (errors["panel"] == panel.name) & (errors["block"] == 1)]
    assert panel.ours[1].value == pytest.approx(ours["error_rel"].median())
    assert panel.ours[1].worst == ours["error_rel"].max()
    assert panel.ours[1].module == ours.loc[ours["error_rel"].idxmax(), "module"]
    assert "(median of 3 experts)" in text(data)
    assert data.references == ("magnitude",)
    assert "Wanda" not in text(data)
    picture(data).canvas.draw()


def test_compensated_blocks_are_named_as_another_quantity(run: Run):
    data = dataclasses.replace(
        reconstruction_data(run),
        compensated=(Compensated("compensation", ((0, 0.2), (1, 3.0)), ((0, 0.1), (1, 1e-6))),),
    )
    said = text(data)
    assert "another quantity" in said
    assert "compensation, refit: 0: 0.10 · 1: 1.0e−6" in said
    picture(data).canvas.draw()
    names = [trace.name for trace in reconstruction.figure(data).data]
    assert "compensation, refit" in names


def test_fitting_spans_what_was_measured(run: Run):
    data = reconstruction_data(run, selection=(FOCUS,), fit=True)
    values = [point.value for panel in data.panels for curve in panel.curves.values() for point in curve]
    assert data.domain[0] < min(values) < max(values) < data.domain[1]
    assert data.parts_domain[1] < reconstruction.PARTS_DOMAIN[1]
    assert reconstruction_data(run).domain == theme.ERROR_DOMAIN


def test_names_stay_text(hostile: Run):
    module = f"model.layers.0.{tinyrun.HOSTILE}"
    data = reconstruction_data(hostile, selection=(module,))
    assert "onerror" in text(data)
    picture(data).canvas.draw()
    markup = reconstruction.figure(data).to_json()
    assert "<img" not in markup
    assert "\\u003cimg" not in markup


def test_pictures_are_1008_pixels_wide_and_opaque(run: Run, tmp_path: Path):
    from matplotlib.image import imread

    theme_name: theme.Theme = "light"

    file = tmp_path / "reconstruction.png"
    file.write_bytes(theme.png(picture(reconstruction_data(run, selection=(FOCUS,)), theme_name), theme_name))
    pixels = imread(file)
    assert pixels.shape[1] == 2 * theme.WIDTH_PX
    assert (pixels[..., -1] == 1).all()


def test_the_chart_shares_one_axis_and_draws_this_run_thick(run: Run):
    chart = reconstruction.figure(reconstruction_data(run))
    assert len(chart.data) == 4 * 3
    widths = {trace.name: trace.line.width for trace in chart.data}
    assert widths["this run (HyperPrune)"] > widths["Wanda"]
    ranges = {tuple(axis.range) for axis in chart.select_yaxes()}
    assert ranges == {(-3.0, 0.0)}


def test_the_table_has_a_row_for_each_point(run: Run):
    rows = table(reconstruction_data(run))
    assert len(rows) == 4 * 3 * 3
    errors = facts.errors(run)
    assert sum(row["error_rel"] for row in rows) == pytest.approx(errors["error_rel"].sum())
