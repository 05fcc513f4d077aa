"""What the mask explorer says and sends is what the record holds."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from hyperprune_lab.analysis.agreement import agreement
from hyperprune_lab.analysis.groups import explain
from hyperprune_lab.analysis.masktiles import reference_mask
from hyperprune_lab.analysis.network import Pinned
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.events import BlockFinished, ModuleDecided
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import mask_explorer, mask_group, mask_page, theme
from hyperprune_lab.views.mask_explorer import MaskExplorerData, mask_explorer_data
from hyperprune_lab.views.mask_source import WEIGHT_COLUMNS, WEIGHT_ROWS, MaskSource
from tests.analysis.worlds import World, make_world, name_of
from tests.widgets import tinyrun

UP = name_of(1, "mlp.up_proj")
TINY = "model.layers.1.mlp.up_proj"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """A run whose weights are beside it."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Run:
    """A run whose masks are larger than one tile, without weights."""
    tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.up_proj",), rows=300, width=520)
    return tinyrun.write_run(tmp_path_factory.mktemp("wide") / "run", tiny)


def source_of(data: MaskExplorerData) -> MaskSource:
    assert data.source is not None
    return data.source


def test_the_text_tells_the_record(world: World):
    run = world.run
    text = mask_explorer.text(mask_explorer_data(run, module=UP))
    mask = world.masks[UP]
    rate = mask.mean(0)
    assert f"{UP}, 20 × 24 (outputs × inputs), keeps 2 of every 4 (2:4)" in text
    assert f"most kept {rate.argmax()} {theme.fmt_share(rate.max())}" in text
    loud = np.flatnonzero(world.rms(UP) >= 6 * np.median(world.rms(UP)))
    assert f"outlier inputs (RMS ≥ 6 × median): {len(loud)}" in text
    assert "each keeps exactly 50 %" in text
    found = agreement(run.packed_mask(UP), reference_mask(run, UP, "wanda"))
    assert f"against Wanda: {theme.fmt_share(found.patterns)} of groups alike" in text
    assert "weights: read from the model's files (same bytes)" in text


def test_the_card_is_the_explanation(world: World):
    run = world.run
    data = mask_explorer_data(run, module=UP, group=(3, 2), pins=[(0, 0)])
    why = explain(run, UP, 3, 2, open_sources(run))
    text = mask_explorer.text(data)
    assert f"row 3, group 2 (inputs 8 to 11): {why.sentence}" in text
    assert f"weight {theme.fmt_number(float(world.weights[UP][3, 8]))}" in text
    assert (
        f"pinned, row 0, group 0 (inputs 0 to 3): {explain(run, UP, 0, 0, open_sources(run)).sentence}"
        in text
    )
    card = mask_page.payload(data)["group"]
    assert card["sentence"] == why.sentence
    positions, patterns = card["tables"]
    assert [line[0] for line in positions[1:]] == ["8", "9", "10", "11"]
    assert [line[-1] == "kept" for line in positions[1:]] == world.masks[UP][3, 8:12].tolist()
    assert len(patterns) == 1 + 6
    assert [line[-1].startswith("kept") for line in patterns[1:]].count(True) == 1
    assert patterns[1][2] == "1.0×"
    wanda = "".join("■" if kept else "·" for kept in world.wanda[UP][3, 8:12])
    assert next(line[0] for line in patterns[1:] if "Wanda" in line[-1]) == wanda


def test_probabilities_are_shown_where_they_were_recorded(world: World):
    source = source_of(mask_explorer_data(world.run, module=UP))
    shares = np.random.default_rng(0).dirichlet(np.ones(6), (3, 2)).astype(np.float32)
    source.pinned = Pinned("layers", ((3, 2), (5, 1)), (0, 1, 2), shares, (0, 0))
    card = mask_group.group_card(source, 5, 1)
    patterns = mask_group.payload(card)["tables"][1]
    assert patterns[0] == ["pattern", "cost", "× least", "p", ""]
    shown = {line[0]: line[3] for line in patterns[1:]}
    for kept, share in zip(NMPattern.parse("2:4").table(), shares[-1, 1], strict=True):
        glyphs = "".join("■" if one else "·" for one in kept)
        assert shown[glyphs] == theme.fmt_share(float(share))
    assert f"probability {shown[patterns[1][0]]}" in "\n".join(mask_group.text(card))
    elsewhere = mask_group.group_card(source, 0, 0)
    assert elsewhere.probabilities is None
    assert "recorded for 2 groups: p goes to the next" in mask_group.payload(elsewhere)["note"]
    assert "recorded for row 3 group 2, row 5 group 1" in mask_group.text(elsewhere)[-1]


def test_it_begins_in_the_worst_row_at_the_loudest_input(world: World):
    data = mask_explorer_data(world.run, module=UP)
    source = source_of(data)
    assert data.card is not None
    assert source.row_errors is not None
    assert data.card.why.row == source.row_errors.argmax()
    assert data.card.why.group == world.rms(UP).argmax() // 4


def test_tiles_of_the_mask_are_its_bits(wide: Run):
    module = "model.layers.0.mlp.up_proj"
    source = source_of(mask_explorer_data(wide, module=module))
    masks = [wide.mask(module), reference_mask(wide, module, "wanda").unpack()]
    (height, width), part = source.bits(1, 2)
    assert (height, width) == (300 - 256, 520 - 512)
    rows = np.frombuffer(part, np.uint8).reshape(2, height, -1)
    for packed, mask in zip(rows, masks, strict=True):
        bits = np.unpackbits(packed, axis=1, bitorder="little")[:, :width].astype(bool)
        np.testing.assert_array_equal(bits, mask[256:, 512:])
    codes = source.codes(slice(3, 9), slice(100, 140))
    np.testing.assert_array_equal(codes, masks[0][3:9, 100:140] + 2 * masks[1][3:9, 100:140])
    with pytest.raises(UserError, match="no tile"):
        source.bits(2, 0)


def test_bytes_of_a_tile_are_its_values_within_a_step(world: World):
    source = source_of(mask_explorer_data(world.run, module=UP))
    for measure, side, low, high in (
        ("keep_rate", "ours", -0.5, 0.5),
        ("keep_rate", "theirs", -0.5, 0.5),
        ("keep_rate", "difference", -0.5, 0.5),
        ("kept_score", "ours", 0.0, 1.0),
        ("kept_score", "difference", 0.0, 1.0),
        ("pattern", "ours", 0.0, 1.0),
    ):
        tile = source.tile(measure, side, 0, 0, 0)  # type: ignore[arg-type]
        assert tile is not None
        places = np.frombuffer(source.coded(tile), np.uint8).reshape(tile.values.shape).astype(float)
        known = ~np.isnan(tile.values)
        assert (places[~known] == 0).all()
        back = low + (places - 1) / 254 * (high - low)
        np.testing.assert_allclose(
            back[known], np.clip(tile.values[known], low, high), atol=(high - low) / 254
        )


def test_weights_come_in_pieces(world: World):
    source = source_of(mask_explorer_data(world.run, module=UP))
    shape, part = source.weights(0, 0)
    assert shape == (min(20, WEIGHT_ROWS), min(24, WEIGHT_COLUMNS))
    weights, scores = np.frombuffer(part, "<f4").reshape(2, *shape)
    np.testing.assert_array_equal(weights, world.weights[UP][: shape[0], : shape[1]])
    np.testing.assert_allclose(scores, np.abs(world.weights[UP]) * world.rms(UP), rtol=1e-4)
    with pytest.raises(UserError, match="no weights at"):
        source.weights(1, 0)


def test_the_next_difference_is_found_in_both_directions(world: World):
    source = source_of(mask_explorer_data(world.run, module=UP))
    differ = (world.masks[UP] != world.wanda[UP]).reshape(20, 6, 4).any(2)
    places = [tuple(place) for place in np.argwhere(differ).tolist()]
    here, seen = (0, -1), []
    while (here := source.next_difference(*here)) is not None:  # type: ignore[assignment]
        seen.append(here)
    assert seen == places
    assert source.next_difference(*places[3], backwards=True) == places[2]
    assert source.next_difference(*places[0], backwards=True) is None
    assert source_of(mask_explorer_data(world.run, module=UP, against="none")).next_difference(0, 0) is None


def test_modules_that_have_no_mask_say_why(tmp_path):
    tiny = tinyrun.Tiny(excluded=("mlp.gate",))
    run = tinyrun.write_run(tmp_path / "some", tiny, stop_after=14)
    for module, status, words in (
        (None, "nothing selected", "Select a module"),
        (tiny.module(2, "mlp.up_proj"), "waiting", "not yet decided"),
        (tiny.module(0, "mlp.gate"), "not pruned", "no linear layer"),
        ("model.layers.0.<b>", "unknown", "knows no model.layers.0.<b>"),
    ):
        data = mask_explorer_data(run, module=module)
        assert data.status == status
        assert data.source is None
        assert words in mask_explorer.text(data)
        assert mask_page.payload(data)["status"] == status
        assert mask_explorer.table(data) == []
        assert mask_explorer.picture(data).axes


def test_a_mask_is_shown_once_its_block_is_on_disk(tmp_path):
    writer, stream, run = tinyrun.live_run(tmp_path / "live")
    with writer:
        decided = tinyrun.write_until(writer, stream, ModuleDecided)
        assert isinstance(decided, ModuleDecided)
        assert mask_explorer_data(run, module=decided.module).status == "waiting"
        tinyrun.write_until(writer, stream, BlockFinished)
        data = mask_explorer_data(run, module=decided.module)
        assert data.status == "decided"
        assert mask_explorer_data(run, module=decided.module, as_of=data.decided_at - 1).status == "waiting"
        np.testing.assert_array_equal(source_of(data).codes(slice(0, 8), slice(0, 16)) & 1, decided.mask)


def test_without_weights_masks_are_shown_and_it_says_so(run: Run):
    data = mask_explorer_data(run, module=TINY, measure="kept_score")
    assert data.shown == "deviation"
    payload = mask_page.payload(data)
    assert not payload["weights"]
    assert "which folder holds them now" in payload["weights_reason"]
    text = mask_explorer.text(data)
    assert "masks only: Without the weights of 'tiny' only masks can be shown" in text
    assert "the weights are not here" in text
    with pytest.raises(UserError, match="only masks can be shown"):
        source_of(data).weights(0, 0)


def test_comparisons_that_are_not_there_say_so(run: Run, tmp_path):
    alone = mask_explorer_data(run, module=TINY, against="reference", side="difference")
    assert alone.side == "ours"
    assert "no comparison: No reference run is chosen." in mask_explorer.text(alone)
    other = tinyrun.write_run(tmp_path / "other", tinyrun.Tiny(pattern="1:4"))
    unlike = mask_explorer_data(run, module=TINY, against="reference", reference=other)
    assert "other decided 1:4 [8, 16] here, this run 2:4 [8, 16]" in mask_explorer.text(unlike)
    twin = tinyrun.write_run(tmp_path / "twin")
    same = mask_explorer_data(run, module=TINY, against="reference", reference=twin, side="difference")
    assert same.side == "difference"
    assert "against twin: 100 % of groups alike (0 of 32 differ)" in mask_explorer.text(same)


def test_patterns_have_colors_as_long_as_colors_can_be_told_apart(tmp_path):
    for name, colored in (("2:4", 6), ("1:4", 4), ("4:8", 0), ("8:16", 0)):
        colors = mask_page.pattern_colors(NMPattern.parse(name))
        assert len(colors) == colored
        assert len(set(colors.values())) == colored
    for name, shown, word in (
        ("4:8", "diversity", "group as Wanda's"),
        ("8:16", "deviation", "group as Wanda's"),
    ):
        tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.up_proj",), pattern=name)
        run = tinyrun.write_run(tmp_path / name.replace(":", "-"), tiny)
        data = mask_explorer_data(run, module=tiny.module(0, "mlp.up_proj"), measure="pattern")
        assert data.shown == shown
        assert any(word in chip[1] for chip in mask_page.payload(data)["legend"]["ours"]["chips"])


def test_a_page_without_a_kernel_gets_rulers_and_the_mask_around_the_focus(world: World, wide: Run):
    held = mask_page.embedded(mask_explorer_data(world.run, module=UP))
    planes = [piece[0] for piece in held["tiles"]]
    assert planes == ["deviation:ours", "deviation:theirs", "shifted:difference", "bits", "weights"]
    rates = np.frombuffer(base64.b64decode(held["rulers"][0]), "<f4")
    np.testing.assert_allclose(rates, world.masks[UP].mean(0), rtol=1e-6)
    module = "model.layers.0.mlp.up_proj"
    pieces = mask_page.embedded(mask_explorer_data(wide, module=module))["tiles"]
    assert sorted(piece[2:4] for piece in pieces if piece[0] == "bits") == [
        [y, x] for y in (0, 1) for x in (0, 1, 2)
    ]


def test_the_payload_is_small_whatever_the_matrix(wide: Run):
    from hyperprune_lab.widgets.plain import plain

    payload = plain(mask_page.payload(mask_explorer_data(wide, module="model.layers.0.mlp.up_proj")))
    assert len(str({name: value for name, value in payload.items() if name != "tiles"})) < 8000
    assert len(payload["tiles"]) == 3


def test_the_table_has_a_line_for_each_input(world: World):
    rows = mask_explorer.table(mask_explorer_data(world.run, module=UP))
    assert [row["input"] for row in rows] == list(range(24))
    np.testing.assert_allclose([row["keep_rate"] for row in rows], world.masks[UP].mean(0))
    np.testing.assert_allclose([row["keep_rate_wanda"] for row in rows], world.wanda[UP].mean(0))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "light"),
        ({"side": "difference", "window": (2, 4, 12, 20)}, "dark"),
        ({"measure": "kept_score", "side": "theirs"}, "light"),
    ],
)
def test_it_is_drawn(world: World, options, name):
    data = mask_explorer_data(world.run, module=UP, **options)
    figure = mask_explorer.picture(data, name)
    assert theme.png(figure, name)[:4] == b"\x89PNG"
    words = " ".join(text.get_text() for text in figure.findobj() if hasattr(text, "get_text"))
    assert data.card is not None
    assert data.card.why.sentence.split(";")[0][:30] in words


def test_hostile_names_stay_text(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=(tinyrun.HOSTILE,))
    run = tinyrun.write_run(tmp_path / "hostile", tiny)
    data = mask_explorer_data(run, module=tiny.module(0, tinyrun.HOSTILE))
    assert tinyrun.HOSTILE in mask_explorer.text(data)
    assert theme.png(mask_explorer.picture(data))
    assert mask_page.payload(data)["siblings"][0][0].endswith(tinyrun.HOSTILE)
