"""Errors as recorded, their parts, and the trend against depth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis import reconstruction
from hyperprune_lab.analysis.linears import linears, local_name, panel_name, require_linear
from hyperprune_lab.errors import UserError
from tests.analysis.worlds import World, name_of, relative

UP = name_of(1, "mlp.up_proj")


def test_errors_are_long_and_in_order_of_depth(world: World):
    table = reconstruction.errors(world.run)
    assert set(table["method"]) == {"this run", "wanda", "magnitude"}
    assert len(table) == 3 * 9
    for method, masks in (("this run", world.masks), ("wanda", world.wanda), ("magnitude", world.magnitude)):
        ours = table[table["method"] == method]
        assert ours["block"].is_monotonic_increasing
        for module, error in zip(ours["module"], ours["error_rel"], strict=True):
            weight = world.weights[module]
            assert error == pytest.approx(relative(weight * ~masks[module], weight, world.gram(module)))
    assert list(table["local"].unique()) == ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"]


def test_the_parts_of_the_audit_add_up_with_the_cross_term_only(world: World):
    table = reconstruction.decomposition(world.run)
    assert len(table) == 9
    np.testing.assert_allclose(table["local"] + table["inherited"] + table["cross"], table["total"])
    decided = world.run.events(kinds=("ModuleDecided",))[-1].seq
    assert reconstruction.decomposition(world.run, as_of=decided).empty


def test_rows_and_channels_are_parts_of_the_error(world: World):
    error = reconstruction.errors(world.run).query("method == 'this run'").set_index("module")["error_rel"]
    weight, gram = world.weights[UP], world.gram(UP)
    lost = weight * ~world.masks[UP]
    parts = (lost @ gram) * lost / np.trace(weight @ gram @ weight.T)
    rows = reconstruction.worst_rows(world.run, UP, top=100)
    assert rows["error"].sum() == pytest.approx(error[UP])
    assert rows["share"].sum() == pytest.approx(1)
    assert rows["times_mean"].mean() == pytest.approx(1)
    assert rows["row"].iloc[0] == parts.sum(1).argmax()
    lost_energy, own_energy = ((a @ gram * a).sum(1) for a in (lost, weight))
    np.testing.assert_allclose(rows["of_own"], (lost_energy / own_energy)[rows["row"]], rtol=1e-4)
    shares = reconstruction.channel_shares(world.run, UP, top=4)
    assert shares is not None
    assert shares.total == pytest.approx(error[UP])
    assert shares.positive + shares.negative == pytest.approx(shares.total)
    assert shares.table["share"].sum() + shares.rest == pytest.approx(shares.total)
    assert list(shares.table["channel"]) == list(np.argsort(-np.abs(parts.sum(0)))[:4])


def test_rows_of_older_records_have_no_energy_of_their_own(plain_world: World):
    assert reconstruction.worst_rows(plain_world.run, UP)["of_own"].isna().all()


def test_held_out_pairs(world: World):
    table = reconstruction.held_out(world.run)
    np.testing.assert_allclose(table["ratio"], 1.25)
    np.testing.assert_allclose(table["held_out"], 1.25 * table["calibration"])


def test_as_of_shows_the_run_as_it_stood(world: World):
    first = next(event.seq for event in world.run.events(kinds=("BlockFinished",)))
    assert set(reconstruction.errors(world.run, as_of=first)["block"]) == {0}
    assert reconstruction.headline(world.run, as_of=1) == "No linear has been decided yet."


def test_the_headline_names_the_worst(world: World):
    table = reconstruction.errors(world.run).query("method == 'this run'")
    worst = table.loc[table["error_rel"].idxmax()]
    text = reconstruction.headline(world.run)
    assert f"worst {worst['module']} with {worst['error_rel']:.3g}" in text
    assert f"Mean relative error {table['error_rel'].mean():.3g} (Wanda " in text


class Errors:
    """A run of one panel whose errors are given by depth."""

    def __init__(self, errors: list[float]) -> None:
        self.table = pd.DataFrame(
            {
                "module": [f"h.{block}.mlp" for block in range(len(errors))],
                "block": range(len(errors)),
                "error_rel": errors,
            }
        )

    def modules(self, stage=None, as_of=None):
        return self.table


@settings(max_examples=25)
@given(
    blocks=st.integers(5, 24),
    start=st.floats(1e-3, 1),
    slope=st.floats(-0.3, 0.3),
    factor=st.floats(3, 100),
    place=st.integers(0, 23),
)
@pytest.mark.unchecked
def test_the_trend_finds_a_geometric_one_and_the_layer_that_breaks_it(blocks, start, slope, factor, place):
    errors = start * np.exp(slope * np.arange(blocks))
    place %= blocks
    spoiled = errors.copy()
    spoiled[place] *= factor
    table = reconstruction.trend(Errors(list(spoiled)))
    assert table["residual"].abs().idxmax() == place
    assert table["times"][place] > 0.4 * factor
    clean = reconstruction.trend(Errors(list(errors)))
    np.testing.assert_allclose(clean["slope"], slope, atol=1e-9)
    np.testing.assert_allclose(clean["expected"], errors, rtol=1e-6)
    np.testing.assert_allclose(clean["deviations"], 0, atol=1e-6)


@pytest.mark.unchecked
def test_experts_share_a_trend_through_their_medians():
    run = Errors([0.1] * 12)
    run.table["module"] = [f"h.{place // 3}.experts.{place % 3}.w" for place in range(12)]
    run.table["block"] = [place // 3 for place in range(12)]
    run.table.loc[4, "error_rel"] = 0.9
    table = reconstruction.trend(run)
    assert set(table["panel"]) == {"experts.*.w"}
    np.testing.assert_allclose(table["expected"], 0.1)
    assert table["times"].idxmax() == 4


@pytest.mark.unchecked
def test_a_perfect_layer_a_broken_one_and_a_short_panel_have_no_residual():
    table = reconstruction.trend(Errors([0.1, 0.0, 0.1, float("nan"), 0.1]))
    assert list(table["residual"].isna()) == [False, True, False, True, False]
    assert reconstruction.trend(Errors([0.1, 0.2]))["residual"].isna().all()


def test_linears_stand_where_coverage_says(world: World):
    table = linears(world.run)
    assert list(table["module"]) == list(world.weights)
    assert list(table["local"][:3]) == ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"]
    assert (require_linear(world.run, UP)["out_features"], require_linear(world.run, UP)["pattern"]) == (
        20,
        "2:4",
    )
    with pytest.raises(UserError, match="prunes no 'nothing'"):
        require_linear(world.run, "nothing")


@pytest.mark.parametrize(
    ("module", "block", "local", "panel"),
    [
        ("model.layers.3.mlp.up_proj", 3, "mlp.up_proj", "mlp.up_proj"),
        ("transformer.h.0.attn.c_attn", 0, "attn.c_attn", "attn.c_attn"),
        ("model.layers.1.mlp.experts.12.w1", 1, "mlp.experts.12.w1", "mlp.experts.*.w1"),
        ("<b>.7.</b>", 7, "</b>", "</b>"),
        ("lonely", 2, "lonely", "lonely"),
    ],
)
def test_names_within_blocks(module, block, local, panel):
    assert local_name(module, block) == local
    assert panel_name(local) == panel
