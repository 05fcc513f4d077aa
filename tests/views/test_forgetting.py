"""Forgetting: matrix, sums, words and pictures, held against the record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.analysis import forgetting as analysis
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.views import forgetting, theme
from hyperprune_lab.views.forgetting import forgetting_data
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun

THEN = [0.10, 0.20, 0.40]


def record(path: Path, size: float, weight: float = 1.0, final: bool = True) -> Run:
    """Three blocks; after block i, block j has changed by ``size`` times (i - j), its error by a tenth of that."""
    with RecordWriter.create(path) as writer:
        for event in tinyrun.events():
            if isinstance(event, ev.RunStarted):
                training = {"training": {"continual_weight": weight}}
                stages = ["layers", *(["model"] if final else []), "audit"]
                event = replace(event, config=event.config | {"hyperprune": training}, stages=stages)
            if isinstance(event, ev.ForgettingMeasured):
                if event.after == -1 and not final:
                    continue
                last = 3 if event.after == -1 else event.after
                changed = [size * (last - block) for block in range(min(3, last + 1))]
                event = replace(
                    event,
                    values={
                        "changed": changed,
                        "divergence": [10 * value for value in changed],
                        "error_rel": [
                            then * (1 + value / 10) for then, value in zip(THEN, changed, strict=False)
                        ],
                        "error_rel_at_decision": THEN[: len(changed)],
                    },
                )
            if isinstance(event, ev.EvaluationFinished) and event.state == "compensated":
                writer.write(replace(event, state="regenerated", scalars={"perplexity": 20.0}))
            writer.write(event)
    return open_run(path)


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("runs") / "forgetful", 0.1, weight=0.0)


@pytest.fixture(scope="module")
def faithful(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("runs") / "faithful", 0.02)


@pytest.mark.parametrize("name", ["changed", "divergence"])
def test_values_are_the_records(forgetful, name):
    data = forgetting_data(forgetful, measure=name)
    np.testing.assert_array_equal(data.values, forgetful.forgetting(name).to_numpy())
    assert data.rows == (0, 1, 2, -1)
    assert data.asked == (0, 1, 2, -1)
    assert data.worst == 0


def test_errors_are_shown_over_those_when_decided(forgetful):
    data = forgetting_data(forgetful, measure="error_rel")
    now, then = (forgetful.forgetting(name).to_numpy() for name in ("error_rel", "error_rel_at_decision"))
    np.testing.assert_allclose(data.values, now / then)
    np.testing.assert_array_equal(data.now, now)
    np.testing.assert_array_equal(data.then, then)
    assert data.curve(1) == [(1, 1.0), (2, pytest.approx(1.01)), (3, pytest.approx(1.02))]
    words = forgetting.text(data)
    assert (
        "worst, block 0: after block 0: 1.00× · block 1: 1.01× · block 2: 1.02× · the final stage: 1.03×"
        in words
    )
    assert "(error 0.103, 0.100 then)" in words


def test_a_record_without_errors_when_decided_falls_back_on_the_diagonal(run):
    data = forgetting_data(run, measure="error_rel")
    diagonal = np.diagonal(run.forgetting("error_rel").to_numpy())
    np.testing.assert_array_equal(data.then[2], diagonal)
    assert "nan" not in forgetting.text(data)


def test_the_sums_are_those_of_the_analysis_with_the_sign_in_words(forgetful):
    summed = analysis.summary(forgetful)
    lines = {
        label: (number, words) for label, number, words in forgetting.lines_of(forgetting_data(forgetful))
    }
    assert summed.average_forgetting == pytest.approx(0.2)
    assert lines["average forgetting"][0] == theme.fmt_share(summed.average_forgetting) == "20 %"
    assert "after the final stage" in lines["average forgetting"][1]
    assert lines["forgotten most"] == ("block 0", "30 % of its groups")
    number, words = lines["backward transfer"]
    assert number == f"{theme.fmt_signed(100 * summed.backward_transfer)} points"
    assert words.startswith("negative: what it learned later made it worse")
    assert lines["perplexity, stored | regenerated"] == ("14.9 | 20.0", "the masks of now are worse, by 34 %")


def test_text_and_payload_say_that_stored_masks_stay(forgetful):
    data = forgetting_data(forgetful)
    for told in (forgetting.text(data), forgetting.payload(data)["note"]):
        assert "changes the masks that the network would regenerate, not the masks that are stored" in told


def test_as_of_a_moment_later_rows_are_to_come(forgetful):
    second = forgetful.events(kinds=("ForgettingMeasured",))[1].seq
    data = forgetting_data(forgetful, as_of=second)
    assert (data.rows, data.asked) == ((0, 1, 2, -1), (0, 1))
    assert np.isnan(data.values[2:]).all()
    words = forgetting.text(data)
    assert "2 of 4 rows measured" in words
    assert "after block 1, by block: 0: 10 % · 1: 0 %" in words
    assert "perplexity, stored | regenerated: not yet" in words
    early = forgetting_data(forgetful, as_of=1)
    assert (early.blocks, early.asked, early.worst) == (3, (), None)
    assert "average forgetting: not yet" in forgetting.text(early)


def test_a_run_without_a_last_stage_has_no_last_row(tmp_path):
    data = forgetting_data(record(tmp_path / "run", 0.1, final=False))
    assert data.rows == (0, 1, 2)
    # The block that was only just decided is not an earlier one.
    assert data.worst == 0
    assert data.values[2, 2] == 0


def test_a_reference_stands_beside_on_one_scale_with_the_difference(forgetful, faithful):
    data = forgetting_data(faithful, reference=forgetful)
    held = data.reference
    ours, theirs = faithful.forgetting("changed").to_numpy(), forgetful.forgetting("changed").to_numpy()
    np.testing.assert_array_equal(held.values, theirs)
    np.testing.assert_allclose(held.difference, ours - theirs)
    sent = plain(forgetting.payload(data))["reference"]
    assert sent["difference"][3] == pytest.approx([-0.24, -0.16, -0.08])
    assert (sent["name"], sent["weight"], data.continual_weight) == ("forgetful", 0.0, 1.0)
    words = forgetting.text(data)
    assert "With λ2 = 1 the network would change 4.0% of earlier groups, with λ2 = 0 20.0%." in words
    assert "this run minus the reference: 0: −24.0 points · 1: −16.0 points · 2: −8.0 points" in words
    fitted = forgetting_data(faithful, reference=forgetful, fit=True)
    assert fitted.domain == pytest.approx((0.0, 0.3))


def test_a_smaller_reference_is_held_against_the_blocks_of_both(forgetful, tmp_path):
    small = tinyrun.write_run(tmp_path / "small", tinyrun.Tiny(blocks=2))
    held = forgetting_data(forgetful, reference=small).reference
    assert held.values.shape == (4, 3)
    assert np.isnan(held.values[:, 2]).all()
    assert not np.isnan(held.difference[1, :2]).any()


def test_methods_without_a_network_have_nothing_to_forget(tmp_path, forgetful):
    wanda = tinyrun.write_run(tmp_path / "wanda", tinyrun.Tiny(method="wanda"))
    data = forgetting_data(wanda, reference=forgetful)
    assert not data.applies
    assert "No shared network, nothing to forget. Wanda" in forgetting.text(data)
    assert forgetting.payload(data)["message"] in forgetting.text(data)
    assert forgetting.table(data) == []
    forgetting.picture(data)
    held = forgetting_data(forgetful, reference=wanda).reference
    assert held.values is None
    assert "wanda has nothing to forget" in held.sentence


def test_a_block_leads_to_the_counterpart_of_the_module_in_focus(forgetful):
    data = forgetting_data(forgetful, selection=["model.layers.1.mlp.up_proj", "model.layers.0.mlp.up_proj"])
    assert data.selected == 1
    assert data.leads == tuple(f"model.layers.{block}.mlp.up_proj" for block in range(3))
    assert "selected, block 1: after block 1: 0 % · block 2: 10 % · the final stage: 20 %" in forgetting.text(
        data
    )
    assert forgetting_data(forgetful).leads[2] == "model.layers.2.self_attn.q_proj"
    assert forgetting_data(forgetful, selection=["no such module"]).selected is None


def test_payload_is_small_plain_and_rounded_to_what_it_shows(forgetful, faithful):
    sent = plain(forgetting.payload(forgetting_data(forgetful, measure="divergence", reference=faithful)))
    text = json.dumps(sent, allow_nan=False)
    assert len(text) < 4000
    assert sent["values"] == [[0.0], [1.0, 0.0], [2.0, 1.0, 0.0], [3.0, 2.0, 1.0]]
    assert sent["rows"][-1] == [-1, "after the final stage"]


def test_the_table_has_one_row_for_every_number(forgetful):
    rows = forgetting.table(forgetting_data(forgetful))
    assert len(rows) == 1 + 2 + 3 + 3
    assert rows[-1]["after"] == "final stage"
    assert rows[1] == {
        "after": 1,
        "block": 0,
        "changed": 0.1,
        "error_rel": 0.101,
        "error_rel_at_decision": 0.1,
    }


@pytest.mark.parametrize(("measure", "theme_name"), [("divergence", "dark"), ("error_rel", "light")])
def test_pictures_are_drawn_in_both_themes(forgetful, faithful, measure, theme_name):
    data = forgetting_data(
        faithful, measure=measure, reference=forgetful, selection=["model.layers.1.mlp.up_proj"]
    )
    picture = forgetting.picture(data, theme_name)
    words = {text.get_text() for axes in picture.axes for text in axes.texts}
    label = data.measure.brief(float(data.values[2, 0]))
    assert label in words
    assert theme.png(picture, theme_name).startswith(b"\x89PNG")


def test_the_plotly_figure_holds_the_same_numbers(forgetful, faithful):
    data = forgetting_data(forgetful)
    figure = forgetting.figure(data)
    np.testing.assert_array_equal(figure.data[0].z, data.values)
    assert list(figure.data[1].y) == [value for _, value in data.curve(0)]
    assert "block 0 (worst)" in {trace.name for trace in figure.data}
    held = forgetting.figure(forgetting_data(faithful, reference=forgetful))
    np.testing.assert_allclose(held.data[0].z, data.values * -0.8, atol=1e-12)


def test_hostile_names_stay_text(tmp_path):
    run = record(tmp_path / "<b>$run$", 0.1)
    data = forgetting_data(run, reference=run)
    assert "<b>$run$" in forgetting.text(data)
    forgetting.picture(data)
    assert "&lt;b&gt;" in forgetting.figure(data).layout.title.text


def test_bad_measures_are_no_surprise(forgetful):
    with pytest.raises(KeyError):
        forgetting_data(forgetful, measure="regret")
