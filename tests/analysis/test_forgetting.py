"""Matrix, curves, sums and words of forgetting, against rows that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab.analysis import forgetting
from hyperprune_lab.events import ForgettingMeasured
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.record.writer import RecordWriter
from tests.analysis.worlds import World, forgetting_rows, make_world


@pytest.fixture
def with_final(tmp_path: Path) -> forgetting.Run:
    """A run whose network was asked once more after the final stage, and had got worse."""
    world = make_world(tmp_path, finish=False)
    with RecordWriter.resume(world.path) as writer:
        for after in range(3):
            writer.write(ForgettingMeasured(after, forgetting_rows(3)[after]))
        last = {"changed": [0.5, 0.1, 0.3], "divergence": [1.0, 1.0, 1.0], "error_rel": [0.6] * 3}
        writer.write(ForgettingMeasured(-1, last | {"error_rel_at_decision": [0.5] * 3}))
    return open_run(world.path)


def test_the_matrix_is_lower_triangular_and_grows_with_time(world: World):
    table = forgetting.matrix(world.run)
    expected = [
        [0.1 * (after - block) if block <= after else np.nan for block in range(3)] for after in range(3)
    ]
    np.testing.assert_allclose(table, expected)
    second = world.run.events(kinds=("ForgettingMeasured",))[1].seq
    before = forgetting.matrix(world.run, as_of=second)
    np.testing.assert_allclose(before.loc[:1], np.array(expected)[:2])
    assert before.loc[2].isna().all()


def test_curves_have_one_line_a_block(world: World):
    table = forgetting.curves(world.run)
    assert table.groupby("block")["step"].max().tolist() == [2, 1, 0]
    np.testing.assert_allclose(table["value"], 0.1 * table["step"])
    assert list(table[table["block"] == 0]["after"]) == [0, 1, 2]


def test_the_summary_leaves_out_the_block_that_was_only_just_decided(world: World):
    found = forgetting.summary(world.run)
    assert found.average_forgetting == pytest.approx((0.2 + 0.1) / 2)
    assert found.backward_transfer == pytest.approx((0.04 + 0.02) / 2)
    assert (found.after, found.blocks, found.worst) == (2, 2, 0)
    assert found.worst_changed == pytest.approx(0.2)
    assert "would change 15.0% of earlier groups on average, most in block 0 (20.0%)" in found.sentence
    assert (
        "positive: what it learned later made it better at earlier blocks, by 3.00 points" in found.sentence
    )
    assert forgetting.NOTE in found.sentence


def test_before_the_second_block_nothing_can_be_forgotten(world: World):
    first = world.run.events(kinds=("ForgettingMeasured",))[0].seq
    assert forgetting.summary(world.run, as_of=first).sentence.startswith("Only one block is decided")
    assert forgetting.summary(world.run, as_of=1).sentence == "No block was asked again yet."


def test_after_the_final_stage_every_block_counts(with_final: forgetting.Run):
    found = forgetting.summary(with_final)
    assert found.after == forgetting.FINAL
    assert found.blocks == 3
    assert found.average_forgetting == pytest.approx(0.3)
    assert found.backward_transfer == pytest.approx(-0.1)
    assert "negative: what it learned later made it worse" in found.sentence
    assert "after the final stage" in found.sentence
    assert forgetting.summary(with_final, final=False).after == 2
    table = forgetting.matrix(with_final)
    assert list(table.index) == [0, 1, 2, forgetting.FINAL]
    final = with_final.events(kinds=("ForgettingMeasured",))[-1].seq
    assert list(forgetting.matrix(with_final, as_of=final - 1).index) == [0, 1, 2]
    curve = forgetting.curves(with_final)
    assert list(curve[curve["block"] == 1]["after"]) == [1, 2, forgetting.FINAL]


def test_without_a_shared_network_there_is_nothing_to_forget(plain_world: World):
    found = forgetting.summary(plain_world.run)
    assert (found.applies, found.average_forgetting) == (False, None)
    assert found.sentence == forgetting.NOTHING_TO_FORGET
    assert forgetting.continual_weight(plain_world.run) is None


def test_two_runs_on_one_scale(world: World, with_final: forgetting.Run, tmp_path: Path):
    free = make_world(tmp_path / "free", continual_weight=0.0)
    found = forgetting.compare(world.run, free.run)
    assert found.limit == pytest.approx(0.2)
    assert (found.difference.fillna(0) == 0).all(axis=None)
    assert "With λ2 = 1 " in found.sentence
    assert "with λ2 = 0 " in found.sentence
    other = forgetting.compare(with_final, world.run, "error_rel")
    assert list(other.difference.index) == [0, 1, 2], "only what both have been asked"
    assert other.limit == pytest.approx(0.5)


def test_a_comparison_with_another_method_says_so(world: World, plain_world: World):
    found = forgetting.compare(world.run, plain_world.run)
    assert found.sentence == forgetting.NOTHING_TO_FORGET
    assert found.limit == pytest.approx(0.2)
