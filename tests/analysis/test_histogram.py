"""Pattern histograms: as recorded, as counted, and how far from uniform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab.analysis.histogram import by_module, counts_of, entropy_share, histogram, pattern_counts
from tests.analysis.worlds import World, make_world, name_of


def test_a_linear_has_the_histogram_of_its_mask(world: World):
    for module, mask in world.masks.items():
        ids = world.pattern.ids(mask).ravel()
        assert (counts_of(world.run, module) == np.bincount(ids, minlength=6)).all()


def test_patterns_of_several_linears_add_up(world: World):
    modules = [name_of(0, "mlp.up_proj"), name_of(2, "self_attn.q_proj")]
    table = histogram(world.run, modules)
    assert list(table["kept"]) == ["1100", "1010", "1001", "0110", "0101", "0011"]
    assert table["count"].sum() == 20 * 6 + 12 * 4
    assert table["share"].sum() == pytest.approx(1)
    np.testing.assert_allclose(table["times_uniform"], table["share"] * 6)
    assert histogram(world.run, []).empty


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=70))
def test_entropy_is_1_for_uniform_0_for_one_pattern_and_between_otherwise(counts):
    share = entropy_share(np.array(counts))
    if sum(counts) == 0:
        assert np.isnan(share)
        return
    assert -1e-12 <= share <= 1 + 1e-12
    assert (share < 1e-9) == (sum(count > 0 for count in counts) == 1)
    assert (share > 1 - 1e-12) == (len(set(counts)) == 1)
    assert entropy_share(np.array(counts) * 3) == pytest.approx(share)


def test_every_linear_has_a_row(world: World):
    table = by_module(world.run).set_index("module")
    module = name_of(1, "mlp.up_proj")
    counts = np.bincount(world.pattern.ids(world.masks[module]).ravel(), minlength=6)
    assert table.loc[module, "groups"] == 120
    assert table.loc[module, "most_share"] == pytest.approx(counts.max() / 120)
    assert table.loc[module, "entropy_share"] == pytest.approx(entropy_share(counts))
    assert table.loc[module, "most"] == "".join(
        str(int(bit)) for bit in world.pattern.table()[counts.argmax()]
    )


def test_groups_of_too_many_patterns_have_none(tmp_path: Path):
    world = make_world(tmp_path, blocks=1, pattern="4:8")
    assert by_module(world.run)["entropy_share"].between(0, 1).all()
    mask = world.run.packed_mask(name_of(0, "mlp.up_proj"))
    assert pattern_counts(mask).sum() == 60
