"""Telemetry on one axis, signed loss terms, embeddings in a frozen frame, and warnings that fire when they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab import events as ev
from hyperprune_lab.analysis import network
from hyperprune_lab.analysis.embeddings import embeddings, principal_frame
from hyperprune_lab.record.reader import Run, open_run
from hyperprune_lab.record.writer import RecordWriter
from tests.analysis.worlds import World


def test_steps_of_all_blocks_share_one_axis(world: World):
    table = network.steps(world.run)
    assert list(table["axis"]) == list(range(12))
    assert list(table["step"]) == [0, 1, 2, 3] * 3
    marks = network.boundaries(table)
    assert [(mark.start, mark.stop, mark.block, mark.label) for mark in marks] == [
        (0, 4, 0, "block 0"),
        (4, 8, 1, "block 1"),
        (8, 12, 2, "block 2"),
    ]
    sixth = int(table["seq"].iloc[5])
    assert len(network.steps(world.run, as_of=sixth)) == 6


def test_signed_terms_add_up_to_the_loss(world: World):
    table = network.loss_terms(world.run, network.steps(world.run))
    np.testing.assert_allclose(
        table["reconstruction"] + table["outlier"] + table["continual"], table["total"]
    )
    assert (table["outlier"] < 0).all()
    assert table["divergence"].isna().all()


def test_what_was_not_measured_is_unknown(world: World):
    table = network.entropies(network.steps(world.run))
    assert table["entropy"].notna().all()
    assert table[["entropy_p10", "entropy_median", "entropy_p90"]].isna().all(axis=None)
    assert network.pinned(world.run, "model.layers.0.mlp.up_proj") is None


def test_a_method_without_a_network_has_neither_steps_nor_warnings(plain_world: World):
    assert network.steps(plain_world.run).empty
    assert network.boundaries(network.steps(plain_world.run)) == []
    assert network.warnings(plain_world.run) == []
    assert embeddings(plain_world.run) == []


def test_undecided_blocks_and_collapsed_embeddings_are_warned_of(world: World):
    found = network.warnings(world.run)
    undecided = [one for one in found if one.kind == "not converged"]
    assert [one.block for one in undecided] == [0, 1, 2]
    assert undecided[0].message == "Entropy still 0.6 at the end of block 0: not converged."
    (collapsed,) = [one for one in found if one.kind == "collapsed"]
    assert collapsed.message.startswith("The component embeddings collapsed: they differ by 0% of their size")


def test_a_block_still_in_training_is_not_called_undecided(world: World):
    third_step = int(network.steps(world.run)["seq"].iloc[2])
    assert not [one for one in network.warnings(world.run, as_of=third_step) if one.kind == "not converged"]


@pytest.fixture
def odd_run(tmp_path: Path) -> Run:
    """One block whose loss breaks, whose network repeats its prior and is overruled; with pinned groups and a band."""
    mask = np.tile([True, False, True, False], (3, 2))
    config = {"method": "hyperprune", "hyperprune": {"chooser": {"prior_strength": 3.0}, "training": {}}}
    with RecordWriter.create(tmp_path / "run") as writer:
        writer.write(ev.RunStarted(config, {}, {}, {}, [], ["layers", "model"]))
        for step, loss in enumerate([1.0, float("nan")]):
            band = {"entropy_p10": 0.1, "entropy_median": 0.2, "entropy_p90": 0.9, "entropy": 0.6}
            writer.write(ev.StepMeasured("layers", 0, step, 2, {"loss": loss, "temperature": 1.0, **band}))
        arrays = {
            "pinned_groups": np.array([[1, 0], [2, 1]], np.int32),
            "pinned_steps": np.array([0, 1], np.int32),
            "pinned_probabilities": np.full((2, 2, 6), 1 / 6, np.float16),
        }
        scalars = {"decided_by_network": 0.0, "changed_from_prior": 0.0}
        writer.write(ev.ModuleDecided("layers", 0, "h.0.mlp", "2:4", mask, scalars, arrays))
        writer.write(ev.BlockFinished("layers", 0, 1.0, 1))
        writer.write(
            ev.StepMeasured("model", None, 0, 1, {"loss": 0.5, "temperature": 0.1, "divergence": 0.5})
        )
        turned = ~mask
        writer.write(ev.ModuleDecided("model", 0, "h.0.mlp", "2:4", turned, scalars))
        writer.write(ev.BlockFinished("model", 0, 1.0, 1))
    return open_run(tmp_path / "run")


def test_broken_loss_overruled_and_idle_networks_are_warned_of(odd_run: Run):
    found = {one.kind: one.message for one in network.warnings(odd_run)}
    assert set(found) == {"not finite", "overruled", "repeats the prior"}, "the median, not the mean, decides"
    assert "from step 1 on" in found["not finite"]
    assert "On 1 of 1 linears" in found["overruled"]


def test_pinned_groups_come_from_the_stage_that_recorded_them_with_the_final_choice(odd_run: Run):
    found = network.pinned(odd_run, "h.0.mlp")
    assert found is not None
    assert (found.stage, found.groups, found.steps) == ("layers", ((1, 0), (2, 1)), (0, 1))
    assert found.probabilities.shape == (2, 2, 6)
    assert found.chosen == (4, 4), "0101, as the last stage decided"
    decided = odd_run.events(kinds=("ModuleDecided",))[0].seq
    assert network.pinned(odd_run, "h.0.mlp", as_of=decided).chosen == (1, 1)


def test_a_whole_model_stage_has_a_stretch_of_its_own(odd_run: Run):
    table = network.steps(odd_run)
    assert [(mark.block, mark.label) for mark in network.boundaries(table)] == [
        (0, "block 0"),
        (None, "model"),
    ]
    terms = network.loss_terms(odd_run, table)
    assert terms["divergence"].tolist()[-1] == terms["total"].tolist()[-1] == 0.5


def test_embeddings_keep_the_frame_of_the_newest_state(world: World):
    (layers,) = [one for one in embeddings(world.run) if one.kind == "layer"]
    assert layers.labels == ("0", "1", "2")
    assert sum(layers.explained) == pytest.approx(1), "the points lie in a plane"
    now = layers.now[["x", "y"]].to_numpy(float)
    turn = lambda angle: np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # noqa: E731
    flat = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, -2.0]])
    distances = lambda points: np.linalg.norm(points[:, None] - points[None], axis=-1)  # noqa: E731
    np.testing.assert_allclose(distances(now), distances(flat), atol=1e-9)
    first = layers.path[layers.path["moment"] == 0][["x", "y"]].to_numpy(float)
    # Seen in one frame, the first state is the newest one turned by the angle between them, or against it.
    turned = [np.allclose(first, now @ turn(angle), atol=1e-9) for angle in (-0.6, 0.6)]
    assert any(turned)
    assert not layers.collapsed
    early = world.run.events(kinds=("BlockFinished",))[0].seq
    (then,) = [one for one in embeddings(world.run, as_of=early) if one.kind == "layer"]
    np.testing.assert_allclose(then.path[["x", "y"]].to_numpy(float), first)


@given(seed=st.integers(0, 1000), count=st.integers(1, 9), width=st.integers(1, 6), shift=st.floats(-10, 10))
def test_the_frame_is_orthonormal_ordered_and_blind_to_where_points_are(seed, count, width, shift):
    points = np.random.default_rng(seed).standard_normal((count, width))
    _, frame, shares = principal_frame(points)
    moved = principal_frame(points + shift)[1]
    np.testing.assert_allclose(frame @ frame.T, np.diag(np.array(shares) > 0), atol=1e-9)
    np.testing.assert_allclose(np.abs((moved * frame).sum(1)), np.array(shares) > 0, atol=1e-6)
    assert 0 <= sum(shares) <= 1 + 1e-9
    assert shares[0] >= shares[1]
    if count > 2:
        total = np.square(points - points.mean(0)).sum()
        along = np.square((points - points.mean(0)) @ frame.T).sum(0)
        np.testing.assert_allclose(along / total, shares, atol=1e-9)
