"""The model map's data, words, table and picture, held against the record."""

from __future__ import annotations

import json
from statistics import median

import pytest

from hyperprune_lab import events as ev
from hyperprune_lab.record.writer import RecordWriter
from hyperprune_lab.views import model_map, theme
from hyperprune_lab.views.measures import MEASURES
from hyperprune_lab.widgets.plain import plain
from tests.widgets import tinyrun

EXPERTS = tuple(f"mlp.experts.{number}.up_proj" for number in range(4))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A run with four experts a block, and a router that is not covered."""
    tiny = tinyrun.Tiny(blocks=2, locals_=(*tinyrun.ATTENTION, *EXPERTS), excluded=("mlp.gate",))
    return tinyrun.write_run(tmp_path_factory.mktemp("mixture") / "run", tiny)


@pytest.mark.parametrize("name", list(MEASURES))
def test_values_and_ranks_are_the_records(run, name):
    data = model_map.model_map_data(run, measure=name)
    modules = run.modules().set_index("module")
    spent = run.blocks().groupby("block")["seconds"].sum()
    for cell in data.cells:
        row = modules.loc[cell.module]
        expected = {
            "error_vs_wanda": row["error_rel"] / row["error_rel_wanda"],
            "seconds": spent[cell.block],
        }.get(name, row.get(name))
        assert cell.value == pytest.approx(expected)
    ranked = sorted((cell for cell in data.cells if cell.rank is not None), key=lambda cell: cell.rank)
    values = [cell.value for cell in ranked]
    assert values == sorted(values, reverse=MEASURES[name].high_is_worse)
    assert data.order[: len(ranked)] == tuple(cell.module for cell in ranked)
    assert all(cell.value is None for cell in data.cells if cell.rank is None)


def test_cells_lie_in_their_block_and_row(run):
    data = model_map.model_map_data(run)
    assert [row.name for row in data.rows] == [*tinyrun.ATTENTION, *tinyrun.MLP]
    assert [row.group for row in data.rows] == ["attention", "attention", "MLP", "MLP"]
    assert data.blocks == 3
    for cell in data.cells:
        assert cell.module == f"model.layers.{cell.block}.{data.rows[cell.row].name}"
    for block, cell in data.worst_of_blocks.items():
        assert cell.value == max(other.value for other in data.cells if other.block == block)


def test_as_of_a_moment_the_rest_is_to_come(run):
    second = next(e.seq for e in run.events(kinds=("BlockStarted",)) if e.block == 1)
    data = model_map.model_map_data(run, as_of=second)
    assert {cell.status for cell in data.cells if cell.block == 0} == {"decided"}
    assert {cell.status for cell in data.cells if cell.block > 0} == {"waiting"}
    assert (data.decided, data.stage, data.running_block) == (4, "layers", 1)
    assert "8 not yet" in model_map.text(data)
    total = model_map.model_map_data(run, as_of=second, measure="error_rel_total")
    assert all(cell.value is None for cell in total.cells)
    assert "not yet measured" in model_map.text(total)


def test_before_anything_the_grid_stands_and_says_why_parts_are_left_out(tmp_path):
    run = tinyrun.write_run(tmp_path / "run", tinyrun.Tiny(excluded=("mlp.conv",)), stop_after=1)
    data = model_map.model_map_data(run)
    excluded = [cell for cell in data.cells if cell.status == "excluded"]
    assert [cell.module for cell in excluded] == [f"model.layers.{block}.mlp.conv" for block in range(3)]
    assert {cell.reason for cell in excluded} == {"no linear layer"}
    assert data.outside == {"embedding": 1, "norm": 3}
    words = model_map.text(data)
    assert "0 of 12 modules in 3 blocks decided" in words
    assert "not pruned: 3 × no linear layer" in words


def test_experts_fold_to_the_worst_and_the_median_and_unfold(mixture):
    folded = model_map.model_map_data(mixture)
    (row,) = [number for number, row in enumerate(folded.rows) if row.experts]
    assert folded.rows[row].name == "mlp.experts.*.up_proj"
    errors = mixture.modules().set_index("module")["error_rel"]
    for cell in folded.cells:
        if cell.row == row:
            values = {name: errors[name] for name in cell.members}
            assert len(values) == 4
            assert cell.module == max(values, key=values.get)
            assert cell.median == pytest.approx(median(values.values()))
    assert len(folded.order) == len(errors)
    unfolded = model_map.model_map_data(mixture, expanded=["mlp.experts.*.up_proj"])
    assert [r.name for r in unfolded.rows if r.fold] == list(EXPERTS)
    assert {cell.module for cell in unfolded.cells if not cell.members and cell.value} == set(errors.index)


def test_folded_experts_travel_as_a_rule_not_as_names(mixture):
    cells = [cell for cell in model_map.payload(model_map.model_map_data(mixture))["cells"] if "fold" in cell]
    for cell in cells:
        before, after, count = cell["fold"]
        block = cell["block"]
        assert [f"{before}{n}{after}" for n in range(count)] == [
            f"model.layers.{block}.{name}" for name in EXPERTS
        ]


def test_named_sets(run, mixture, tmp_path):
    data = model_map.model_map_data(run)
    assert len(data.sets["attention"]) == len(data.sets["MLP"]) == 6
    assert data.sets["worst 10"] == data.order[:10]
    assert set(data.sets["outlier inputs"]) == set(data.order)
    modules = run.modules()
    beaten = modules[modules["error_rel"] > modules["error_rel_wanda"]]["module"]
    assert set(data.sets.get("worse than Wanda", ())) == set(beaten)
    assert set(data.sets["left to the prior"]) == set(modules[modules["decided_by_network"] == 0]["module"])
    assert len(model_map.model_map_data(mixture).sets["MLP"]) == 8
    quiet = tinyrun.write_run(tmp_path / "quiet", tinyrun.Tiny(blocks=1, outliers=False))
    assert "outlier inputs" not in model_map.model_map_data(quiet).sets


def test_colors_keep_their_domain_unless_fitted(run):
    data = model_map.model_map_data(run)
    assert data.domain == theme.ERROR_DOMAIN
    fitted = model_map.model_map_data(run, fit=True)
    assert fitted.domain == (min(fitted.values), max(fitted.values))
    assert all(cell.clamped == 0 for cell in fitted.cells)
    ratio = model_map.model_map_data(run, measure="error_vs_wanda", fit=True)
    assert ratio.domain[0] * ratio.domain[1] == pytest.approx(1)


def test_what_lies_outside_the_domain_is_marked(tmp_path):
    tiny = tinyrun.Tiny(blocks=1)
    with RecordWriter.create(tmp_path / "run") as writer:
        for event in tinyrun.events(tiny):
            if isinstance(event, ev.ModuleDecided):
                error = {"q_proj": 3.0, "o_proj": 1e-5}.get(event.module.rpartition(".")[2], 0.1)
                event.scalars["error_rel"] = error
            writer.write(event)
    from hyperprune_lab import open_run

    data = model_map.model_map_data(open_run(tmp_path / "run"))
    assert {cell.module.rpartition(".")[2]: cell.clamped for cell in data.cells} == {
        "q_proj": 1,
        "o_proj": -1,
        "up_proj": 0,
        "down_proj": 0,
    }


def test_the_failed_module_carries_the_cause(tmp_path):
    writer, stream, run = tinyrun.live_run(tmp_path / "run")
    tinyrun.write_until(writer, stream, ev.BlockFinished)
    failed = "model.layers.1.mlp.up_proj"
    writer.write(ev.Notice("warning", "few tokens", "model.layers.0.mlp.up_proj"))
    writer.write(ev.RunFailed("a NaN", "ValueError", failed))
    writer.close()
    data = model_map.model_map_data(run)
    (cell,) = [cell for cell in data.cells if cell.status == "failed"]
    assert (cell.module, cell.reason) == (failed, "a NaN")
    words = model_map.text(data)
    assert f"failed: {failed}: a NaN" in words
    assert "notice: model.layers.0.mlp.up_proj: few tokens" in words


def test_the_words_have_the_numbers_of_the_picture(run):
    focus = run.modules()["module"].iloc[5]
    data = model_map.model_map_data(run, selection=[focus, "other"], scope={focus: "dense"})
    words = model_map.text(data)
    for cell in data.worst:
        assert f"{cell.module} {theme.fmt_error(cell.value)}" in words
    cell = next(cell for cell in data.cells if cell.module == focus)
    assert (
        f"selected (and 1 more): {focus}: shape 8 × 16 · pattern 2:4 · relative error {theme.fmt_error(cell.value)}"
        in words
    )
    assert f"rank {cell.rank} of 12" in words
    assert f"Wanda's error {theme.fmt_error(cell.wanda)}" in words
    assert f"{focus}: dense" in words
    unknown = model_map.model_map_data(run, selection=["nobody"])
    assert "nobody, which this run does not know" in model_map.text(unknown)


def test_payload_is_plain_and_complete(run):
    data = model_map.model_map_data(run)
    sent = plain(model_map.payload(data))
    assert json.loads(json.dumps(sent, allow_nan=False)) == sent
    assert [cell["value"] for cell in sent["cells"]] == [cell.value for cell in data.cells]
    assert [sent["cells"][index]["rank"] for index in sent["worst"]] == [1, 2, 3]
    assert [block for block, _ in sent["margin"]] == [0, 1, 2]


def test_the_table_has_a_row_per_cell(run):
    data = model_map.model_map_data(run, measure="kept_score")
    rows = model_map.table(data)
    assert len(rows) == 12
    assert [row["kept_score"] for row in rows] == [cell.value for cell in data.cells]


@pytest.mark.parametrize("theme_name", ["light", "dark"])
@pytest.mark.parametrize("name", ["error_rel", "error_vs_wanda"])
def test_the_picture_shows_the_worst_numbers_and_every_row(mixture, theme_name, name):
    data = model_map.model_map_data(mixture, measure=name, selection=[mixture.modules()["module"].iloc[0]])
    figure = model_map.picture(data, theme_name)
    axes = figure.axes[0]
    shown = {text.get_text() for text in axes.texts}
    for cell in data.worst:
        assert data.measure.form(cell.value).removesuffix("×") in {text.strip("▾▴") for text in shown}
    assert len(axes.get_yticklabels()) == len(data.rows) + 1
    image = theme.png(figure, theme_name)
    width, height = int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")
    assert width == 2 * theme.WIDTH_PX
    assert height > 200


def test_names_from_a_hostile_model_stay_text(tmp_path):
    tiny = tinyrun.Tiny(
        blocks=1, locals_=(tinyrun.HOSTILE, *tinyrun.ATTENTION), excluded=("mlp.\x1b[31m\nred",)
    )
    run = tinyrun.write_run(tmp_path / "run", tiny)
    data = model_map.model_map_data(run, selection=[tiny.module(0, tinyrun.HOSTILE)])
    words = model_map.text(data)
    assert "\x1b" not in words
    assert tinyrun.HOSTILE in words
    theme.png(model_map.picture(data))
