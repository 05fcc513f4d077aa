"""The hypernetwork: strips, patterns, pinned groups, embeddings and words, held against the record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis import network
from hyperprune_lab.analysis.histogram import entropy_share
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.views import hypernetwork, theme
from hyperprune_lab.views.hypernetwork import MOST_POINTS, hypernetwork_data
from hyperprune_lab.views.network_groups import pinned_groups
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun

UP = "model.layers.1.mlp.up_proj"
SETTINGS: dict[str, Any] = {
    "preset": "paper",
    "prior": "none",
    "chooser": {"layer_embedding": True, "component_embedding": True},
    "training": {"steps": 3, "outlier_weight": 0.2, "continual_weight": 1.0, "sampled": True},
    "model_stage": {"steps": 2, "rounds": 2},
}
THREE_STEPS = tinyrun.Tiny(steps=3)
COMPONENTS = ("q_proj", "o_proj", "up_proj", "down_proj")


def stream(tiny: tinyrun.Tiny, band: bool = True) -> Iterator[ev.Event]:
    """A run with settings, a whole-model stage of four steps, pinned groups, and embeddings that move."""
    rng = np.random.default_rng(3)
    pattern = NMPattern.parse(tiny.pattern)
    outputs = pattern.count if pattern.enumerable else pattern.group
    home = rng.normal(size=(tiny.blocks, 5)), rng.normal(size=(len(COMPONENTS), 5))
    for event in tinyrun.events(tiny):
        match event:
            case ev.RunStarted():
                config = event.config | {"hyperprune": SETTINGS}
                event = replace(event, config=config, stages=["layers", "model", "audit"])
            case ev.StepMeasured():
                names = ("loss/reconstruction", "loss/outlier", "loss/continual")
                values = {name.removeprefix("loss/"): value for name, value in event.values.items()}
                values["entropy_median"] = values["entropy"]
                assert set(names) <= set(event.values)
                if not band:
                    values = {
                        name: value for name, value in values.items() if not name.startswith("entropy_")
                    }
                event = replace(event, values=values)
            case ev.ModuleDecided():
                chances = rng.dirichlet(np.ones(outputs), size=(3, 2))
                arrays = {
                    "pinned_groups": np.array([[0, 0], [5, 1]], np.int32),
                    "pinned_steps": np.array([0, 1, 2], np.int32),
                    "pinned_probabilities": chances.astype(np.float16),
                }
                event = replace(event, arrays=event.arrays | arrays)
            case ev.BlockFinished(stage="layers"):
                moved = [part * (1 + 0.1 * event.block) for part in home]
                names = ("layer", "component")
                arrays = {f"{n}_embedding/{tiny.pattern}": part for n, part in zip(names, moved, strict=True)}
                event = replace(event, arrays=arrays)
            case ev.ForgettingMeasured(after=-1):
                for step in range(4):
                    values = {"divergence": 1.0 / (1 + step), "loss": 1.0 / (1 + step), "temperature": 1.0}
                    yield ev.StepMeasured(
                        "model", None, step, 4, values | {"entropy": 0.1, "round": step // 2}
                    )
        yield event


def record(path: Path, tiny: tinyrun.Tiny = THREE_STEPS, stop: int | None = None, **how: Any) -> Run:
    with RecordWriter.create(path) as writer:
        for count, event in enumerate(stream(tiny, **how), 1):
            writer.write(event)
            if count == stop:
                break
    return open_run(path)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("runs") / "learned")


def test_every_step_is_drawn_and_is_the_records(learned):
    data = hypernetwork_data(learned, selection=[UP])
    steps = network.steps(learned)
    terms = network.loss_terms(learned, steps)
    sent = plain(hypernetwork.payload(data))["points"]
    assert sent["x"] == list(range(13))
    assert sent["seq"] == list(steps["seq"])
    for name in ("reconstruction", "outlier", "continual", "total"):
        expected = [None if np.isnan(value) else pytest.approx(value, rel=1e-3) for value in terms[name]]
        assert sent[name] == expected
    assert sent["outlier"][0] == pytest.approx(-0.2 * 0.1)
    assert sent["entropy_p10"][:3] == [0.5, 0.3, 0.1]
    assert sent["entropy_p10"][-1] is None
    assert sent["divergence"][-1] == 0.25


def test_blocks_to_come_have_their_place_from_the_first_frame_on(learned, tmp_path):
    early = hypernetwork_data(learned, as_of=3)
    places = [(one.start, one.stop, one.block) for one in early.stretches]
    assert places == [(0, 3, 0), (3, 6, 1), (6, 9, 2), (9, 13, None)]
    assert early.shown == (0, 13)
    for event in learned.events(kinds=("StepMeasured",))[::3]:
        data = hypernetwork_data(learned, as_of=event.seq)
        assert [(one.start, one.stop, one.block) for one in data.stretches] == places
        assert data.domain == early.domain == (-0.2, 0.5)
    assert "steps: not yet" in hypernetwork.text(early)
    stopped = record(tmp_path / "stopped", stop=5)
    assert [one.stop for one in hypernetwork_data(stopped).stretches] == [3, 6, 9, 13]


def test_long_runs_are_thinned_but_keep_the_ends_of_every_block(tmp_path):
    tiny = tinyrun.Tiny(blocks=4, locals_=("mlp.up_proj",), steps=200)
    run = tinyrun.write_run(tmp_path / "run", tiny)
    data = hypernetwork_data(run)
    assert len(data.drawn) <= MOST_POINTS + 8 < len(data.steps) == 800
    for one in data.stretches:
        assert {one.start, one.stop - 1} <= set(data.drawn)
    assert f"{len(data.drawn)} of them drawn" in hypernetwork.text(data)
    zoomed = hypernetwork_data(run, selection=["model.layers.2.mlp.up_proj"], zoom=True)
    assert zoomed.shown == (400, 600)
    assert zoomed.drawn == tuple(range(400, 600))
    assert len(hypernetwork.table(zoomed)) == 800


def test_text_tells_first_and_last_steps_of_every_block(learned):
    words = hypernetwork.text(hypernetwork_data(learned, selection=[UP]))
    assert "preset paper · λ1 = 0.2 · λ2 = 1 · no prior · sampled masks · step 13 of 13" in words
    assert "reconstruction, first → last step: 0: 0.90 → 0.30 · 1: 0.90 → 0.30 · 2: 0.90 → 0.30" in words
    assert "KL, first → last step: model: 1.0 → 0.25" in words
    assert "entropy median at the end: 0: 0.30 · 1: 0.30 · 2: 0.30" in words
    assert "newest step, 3 of the whole model: total 0.250" in words
    assert "same as the prior" not in words


def test_a_record_without_the_band_says_so(tmp_path):
    data = hypernetwork_data(record(tmp_path / "run", band=False))
    assert not data.banded
    assert "(mean; its spread was not recorded)" in hypernetwork.text(data)
    hypernetwork.picture(data)


def test_patterns_are_those_of_the_selected_modules(learned):
    data = hypernetwork_data(learned, selection=[UP])
    mask = learned.packed_mask(UP)
    counts = np.bincount(mask.pattern.ids(mask.unpack()).ravel(), minlength=6)
    sent = plain(hypernetwork.payload(data))["histogram"]
    assert [bar[1] for bar in sent["bars"]] == counts.tolist()
    assert [bar[0] for bar in sent["bars"]] == ["1100", "1010", "1001", "0110", "0101", "0011"]
    assert sent["note"] == f"{UP}: 2:4, evenness {theme.fmt_share(entropy_share(counts))}"
    both = hypernetwork_data(learned, selection=[UP, "model.layers.0.mlp.up_proj"])
    assert int(both.histogram["count"].sum()) == 2 * counts.sum()
    undecided = hypernetwork_data(learned, as_of=4, selection=[UP])
    assert "not decided yet" in hypernetwork.payload(undecided)["histogram"]["note"]
    assert "Recorded when its block is decided." in hypernetwork.text(undecided)


def test_pinned_groups_end_at_the_final_mask(learned):
    groups = hypernetwork_data(learned, selection=[UP]).pinned
    found = network.pinned(learned, UP)
    mask = learned.packed_mask(UP).unpack()
    table = mask.reshape(len(mask), -1, 4)
    assert [one.name for one in groups] == ["row 0, group 0", "row 5, group 1"]
    for place, one in enumerate(groups):
        row, group = found.groups[place]
        assert one.final == "".join("01"[int(bit)] for bit in table[row, group])
        assert one.names[0] == one.final
        assert sorted(one.names) == sorted(hypernetwork_names())
        np.testing.assert_allclose(one.ribbons.sum(0), 1.0, atol=5e-3)
        np.testing.assert_allclose(one.ribbons[0], found.probabilities[:, place, found.chosen[place]])
        chances = found.probabilities[-1, place]
        assert one.first_choice == hypernetwork_names()[int(chances.argmax())]
        assert f"{one.name}: final {one.final}" in hypernetwork.text(
            hypernetwork_data(learned, selection=[UP])
        )


def hypernetwork_names() -> list[str]:
    return ["".join("01"[int(bit)] for bit in row) for row in NMPattern.parse("2:4").table()]


def test_of_many_patterns_the_likely_ones_stand_for_themselves(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.up_proj",), pattern="4:8", steps=3)
    (one, _) = pinned_groups(record(tmp_path / "run", tiny), "model.layers.0.mlp.up_proj")
    assert one.ribbons.shape == (6, 3)
    assert one.names[-1] == "others"
    assert one.first_choice != "others"
    np.testing.assert_allclose(one.ribbons.sum(0), 1.0, atol=5e-3)


def test_large_groups_are_shown_by_position(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.up_proj",), pattern="8:16", steps=3, width=32)
    run = record(tmp_path / "run", tiny)
    data = hypernetwork_data(run, selection=["model.layers.0.mlp.up_proj"])
    one = data.pinned[0]
    assert (one.by_position, len(one.names), one.final.count("1"), one.first_choice.count("1")) == (
        True,
        16,
        8,
        8,
    )
    kept = [n for n, bit in enumerate(one.final) if bit == "1"]
    assert one.certainty == pytest.approx(one.ribbons[kept, -1].mean())
    assert "too many patterns to count" in hypernetwork.text(data)
    hypernetwork.picture(data, "dark")


def test_embeddings_stand_still_in_the_frame_of_the_last_state(learned):
    layers, components = hypernetwork_data(learned, selection=[UP]).maps
    assert (layers.kind, components.kind) == ("layer", "component")
    sent = plain(hypernetwork.payload(hypernetwork_data(learned, selection=[UP])))["maps"]
    assert [point[0] for point in sent[0]["points"]] == ["0", "1", "2"]
    # The network is saved at the end only: until then the coverage tells what its components are.
    assert [point[0] for point in sent[1]["points"]] == list(COMPONENTS)
    assert sent[1]["selected"] == "up_proj"
    assert (sent[0]["selected"], len(sent[0]["trail"])) == ("1", 3)
    reach = 1.12 * layers.path[["x", "y"]].abs().to_numpy().max()
    assert sent[0]["reach"] == pytest.approx(reach, rel=1e-3)
    assert sent[0]["explained"] == pytest.approx(list(layers.explained), rel=1e-3)
    first = learned.events(kinds=("BlockFinished",))[0].seq
    early = hypernetwork_data(learned, as_of=first, selection=[UP])
    pd.testing.assert_frame_equal(early.maps[0].path, layers.path[layers.path["moment"] == 0])
    assert early.reaches[0] == pytest.approx(reach)
    assert hypernetwork_data(learned, as_of=first - 1).maps == ()


def test_warnings_are_those_of_the_analysis(tmp_path):
    def broken() -> Iterator[ev.Event]:
        for event in stream(tinyrun.Tiny(steps=3)):
            if isinstance(event, ev.StepMeasured) and event.stage == "layers":
                undecided = {"entropy_median": 0.8}
                loss = {"loss": float("nan")} if (event.block, event.step) == (1, 0) else {}
                event = replace(event, values=event.values | undecided | loss)
            yield event

    with RecordWriter.create(tmp_path / "run") as writer:
        for event in broken():
            writer.write(event)
    run = open_run(tmp_path / "run")
    expected = [warning.message for warning in network.warnings(run)]
    assert any("not converged" in message for message in expected)
    assert any("not a number from step 3" in message for message in expected)
    data = hypernetwork_data(run)
    assert [warning.message for warning in data.warnings] == expected
    # The same of three blocks is said once.
    words = [line for line in hypernetwork.text(data).splitlines() if line.startswith("warning: ")]
    assert len(words) == len(expected) - 2
    assert words[0].endswith("of block 0: not converged (and so in 2 more blocks).")
    assert plain(hypernetwork.payload(data))["warnings"] == [line.removeprefix("warning: ") for line in words]
    # A broken loss is told at once, not only at the end of its block.
    at = next(e.seq for e in run.events(kinds=("StepMeasured",)) if e.block == 1)
    kinds = [warning.kind for warning in hypernetwork_data(run, as_of=at).warnings]
    assert "not finite" in kinds


def test_methods_without_a_network_say_so(tmp_path):
    data = hypernetwork_data(tinyrun.write_run(tmp_path / "run", tinyrun.Tiny(method="wanda")))
    assert "No hypernetwork: Wanda decides by a fixed rule" in hypernetwork.text(data)
    assert hypernetwork.payload(data)["message"] in hypernetwork.text(data)
    assert hypernetwork.table(data) == []
    hypernetwork.picture(data)
    hypernetwork.figure(data)


def test_payload_is_plain_and_small(learned):
    sent = json.dumps(
        plain(hypernetwork.payload(hypernetwork_data(learned, selection=[UP]))), allow_nan=False
    )
    assert len(sent) < 6000


def test_fit_spans_what_was_measured(learned):
    data = hypernetwork_data(learned, fit=True)
    low, high = data.domain
    measured = [data.column(name)[:9] for name in ("reconstruction", "outlier", "continual", "total")]
    assert low < np.min(measured) < np.max(measured) < high < 1.1
    assert 1.0 < data.divergence_domain[1] < 1.1


@pytest.mark.parametrize("theme_name", ["light", "dark"])
def test_pictures_are_drawn_in_both_themes(learned, theme_name):
    data = hypernetwork_data(learned, selection=[UP], fit=theme_name == "dark", zoom=theme_name == "dark")
    picture = hypernetwork.picture(data, theme_name)
    words = {
        text.get_text() for part in (picture, *picture.subfigs) for axes in part.axes for text in axes.texts
    }
    assert data.pinned[0].final in words
    assert theme.png(picture, theme_name).startswith(b"\x89PNG")


def test_the_plotly_figure_holds_every_step(learned):
    data = hypernetwork_data(learned)
    lines = {trace.name: trace.y for trace in hypernetwork.figure(data).data}
    np.testing.assert_array_equal(lines["loss: total"], data.column("total"))
    np.testing.assert_array_equal(lines["temperature: temperature"], data.steps["temperature"])


def test_hostile_names_stay_text(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=(tinyrun.HOSTILE,), steps=3)
    data = hypernetwork_data(record(tmp_path / "$x$<b>", tiny), selection=[tiny.module(0, tinyrun.HOSTILE)])
    assert "<img src=x" in hypernetwork.text(data)
    theme.png(hypernetwork.picture(data))
    hypernetwork.figure(data)
