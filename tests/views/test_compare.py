"""The comparison in data, words, LaTeX and pictures: the record's numbers, parts by protocol, names that stay text."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pandas as pd
import pytest

from hyperprune_lab.analysis.scoreboard import standing
from hyperprune_lab.views import compare, compare_export, theme
from hyperprune_lab.views.compare import compare_data, payload, picture, text
from hyperprune_lab.views.compare_words import PAGE_TOKENS
from tests.widgets import readrun, tinyrun
from tests.widgets.readrun import PROMPT, Read

OURS = Read(name="ours", seed=1, method="hyperprune", says={PROMPT: " a time came"})
HELD = Read(name="held", seed=2, shift=0.3)
PLAIN = Read(name="plain", seed=3, shift=0.1, compensation="none")
ELSEWHERE = Read(name="elsewhere", seed=4, text="other", calibration="other")
FOREIGN = Read(name="foreign", seed=5, model="model two", pattern="1:4")
HALF = Read(name="half", seed=6, evaluated=False, finished=False)
HOSTILE = Read(
    name="a&b_%$#~^<b>",
    seed=7,
    method="<script>{x}",
    words=readrun.HOSTILE_WORDS,
    says={PROMPT: " <img src=x>"},
    locals_=(tinyrun.HOSTILE, "self_attn.q_proj"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        read.name: readrun.write(folder, read)
        for read in (OURS, HELD, PLAIN, ELSEWHERE, FOREIGN, HALF, HOSTILE)
    }


def some(runs, *names, **settings):
    return compare_data({name: runs[name] for name in names}, **settings)


def test_the_table_holds_the_recorded_figures_and_the_reference_comes_first(runs):
    data = some(runs, "ours", "plain", "held", reference="held")
    assert [row.key for row in data.rows] == ["held", "ours", "plain"]
    assert data.focus == "ours"
    for row in data.rows:
        values = standing(runs[row.key]).values
        for column in data.columns:
            cell = row.cells[column.key]
            assert cell.value == values.get(column.key)
            assert cell.shown == column.form(values.get(column.key))
    assert {column.group for column in data.columns} == {"mask-only", "compensated", "run"}
    assert data.row("plain").cells["compensated/perplexity"].shown == theme.NONE
    best = min(
        ("held", "ours", "plain"), key=lambda name: standing(runs[name]).values["mask-only/perplexity"]
    )
    marked = [row.key for row in data.rows if row.cells["mask-only/perplexity"].mark == "best"]
    assert marked == [best]
    shown = data.row(best).cells["mask-only/perplexity"].shown
    assert f"ppl {shown}*" in text(data)


@pytest.mark.parametrize("sign", ["", "-"])
def test_rows_are_sorted_below_the_pinned_reference_with_missing_figures_last(runs, sign):
    names = ("ours", "plain", "held", "half")
    column = "mask-only/perplexity"
    data = some(runs, *names, reference="plain", sort=sign + column)
    (number,) = {row.group for row in data.rows if row.key == "plain"}
    rows = data.rows_of(number)
    assert rows[0].key == "plain"
    known = [row.cells[column].value for row in rows[1:] if row.cells[column].value is not None]
    assert known == sorted(known, reverse=bool(sign))
    assert [row.key for row in rows if row.cells[column].value is None] in ([], [rows[-1].key])
    by_name = some(runs, *names, sort=sign + "name")
    keys = [row.key for row in by_name.rows_of(0)]
    assert keys == sorted(keys, reverse=bool(sign))


def test_what_does_not_compare_stands_apart_and_the_field_is_named(runs):
    data = some(runs, "ours", "held", "elsewhere", "foreign", reference="held")
    parts = [[row.key for row in data.rows_of(number)] for number in range(len(data.groups))]
    assert parts == [["held", "ours"], ["elsewhere"], ["foreign"]]
    told = payload(data)
    assert "evaluation text" in told["groups"][1]
    assert "model weights" in told["groups"][2]
    assert "evaluation text" not in told["groups"][0]
    assert all(line in text(data) for line in told["groups"])
    assert data.row("elsewhere").note
    assert not any(cell.mark for cell in data.row("foreign").cells.values())
    assert r"\emph{other evaluation text}" in compare_export.latex(data)


def test_masks_and_words_of_other_models_are_refused_in_words(runs):
    data = some(runs, "foreign", "held", reference="held")
    assert "model weights" in data.map.problem
    assert data.map.overall is None
    assert all(cell.value is None for cell in data.map.cells)
    assert data.matrix.values[0][1] is None
    assert data.map.problem in text(data)
    assert ", with other model weights." in payload(data)["headline"]
    elsewhere = some(runs, "elsewhere", "held", reference="held", measure="error")
    assert "calibration" in elsewhere.map.problem
    assert "did not read the same text" in elsewhere.words.problem
    assert elsewhere.map.cells
    assert payload(elsewhere)["words"]["problem"] in text(elsewhere)


def test_the_difference_map_is_counted_group_by_group(runs):
    data = some(runs, "ours", "held", reference="held")
    lost, total = 0, 0
    for cell in data.map.cells:
        one, two = (runs[name].packed_mask(cell.modules[0]).unpack() for name in ("ours", "held"))
        unlike = (one != two).reshape(-1, 4).any(1)
        assert cell.value == pytest.approx(unlike.mean())
        lost, total = lost + unlike.sum(), total + unlike.size
    assert data.map.overall == pytest.approx(lost / total)
    names = data.matrix.names
    assert data.matrix.values[names.index("ours")][names.index("held")] == pytest.approx(1 - lost / total)
    assert data.matrix.chance == pytest.approx(1 / 6)
    for one in range(len(names)):
        assert data.matrix.values[one][one] == 1
        for two in range(len(names)):
            assert data.matrix.values[one][two] == data.matrix.values[two][one]
    weights = some(runs, "ours", "held", reference="held", measure="weights")
    one, two = (runs[name].packed_mask(weights.map.cells[0].modules[0]).unpack() for name in ("ours", "held"))
    assert weights.map.cells[0].value == pytest.approx(1 - (one & two).sum() / one.sum())


def test_errors_are_held_against_errors(runs):
    data = some(runs, "ours", "held", reference="held", measure="error")
    errors = {
        name: runs[name].modules().set_index("module")["error_rel"].to_dict() for name in ("ours", "held")
    }
    ratios = []
    for cell in data.map.cells:
        right = errors["ours"][cell.modules[0]] / errors["held"][cell.modules[0]]
        assert cell.value == pytest.approx(right)
        ratios.append(math.log(right))
    assert data.map.overall == pytest.approx(math.exp(np.mean(ratios)))


def test_one_run_is_held_against_its_dense_model_and_wandas_mask(runs):
    data = some(runs, "ours")
    assert (data.against, data.reference) == ("dense", None)
    table = runs["ours"].modules().set_index("module")
    for cell in data.map.cells:
        assert cell.value == pytest.approx(1 - table.loc[cell.modules[0], "agreement_wanda"])
    every = [OURS.losses("mask-only")[name] - OURS.losses("dense")[name] for name in OURS.losses("dense")]
    assert data.words.difference.nats == pytest.approx(np.mean(every), abs=1e-6)
    assert "its dense model" in text(data)
    assert not any(cell.mark for row in data.rows for cell in row.cells.values())


def test_words_carry_both_losses_and_only_the_first_of_a_window_has_none(runs):
    data = some(runs, "ours", "held", reference="held", state="compensated", domain="ledger", page=1)
    page = data.words.page
    assert (page.domain, page.number, page.window) == ("ledger", 1, 1)
    assert [token.piece for token in page.tokens] == OURS.pieces()[1]
    assert page.tokens[0].difference is None
    for place, token in enumerate(page.tokens[1:]):
        for read, value in ((OURS, token.ours), (HELD, token.theirs)):
            assert value == pytest.approx(read.losses("compensated")["token_losses/ledger"][1, place])
    sent = payload(data)["words"]["pages"][0]
    assert sent["texts"] == OURS.pieces()[1]
    assert sent["ours"][0] is None
    assert sent["ours"][1] == round(page.tokens[1].ours, 3)
    worst = data.words.worst[0]
    number, place = data.words.place(worst)
    holder = some(runs, "ours", "held", reference="held", state="compensated")
    assert (holder.words.page.domain, holder.words.page.number) == (worst.domain, number)
    assert holder.words.page.tokens[place].difference == pytest.approx(worst.difference)
    assert place < PAGE_TOKENS


def test_continuations_part_where_they_first_differ(runs):
    data = some(runs, "ours", "held", reference="held")
    (one,) = data.texts
    assert (one.theirs, one.ours, one.dense) == (" a time there was", " a time came", " a time")
    assert one.ours[one.split :] == "came"
    assert "‖came" in text(data)
    same = some(runs, "held", "plain", reference="plain").texts[0]
    assert same.split is None


def test_a_run_without_evaluation_is_shown_as_far_as_it_is(runs):
    data = some(runs, "half", "held", reference="held")
    assert data.map.overall is not None, "masks are decided"
    assert data.words.difference is None
    told = text(data)
    assert "holds no token losses" in told
    assert "Continuations: No continuation is recorded (yet)." in told
    first = min(event.seq for event in runs["ours"].events(kinds=("ModuleDecided",)))
    early = some(runs, "ours", "held", reference="held", as_of=first - 1)
    assert early.map.overall is None
    assert early.row("ours").cells["mask-only/perplexity"].shown == theme.NOT_YET
    assert early.row("held").cells["mask-only/perplexity"].value is not None


def test_names_from_outside_stay_text(runs):
    data = some(runs, HOSTILE.name, "held", reference="held")
    assert json.loads(json.dumps(payload(data), allow_nan=False))["focus"] == HOSTILE.name
    assert "\u202e" not in text(data) + json.dumps(payload(data), ensure_ascii=False)
    latex = compare_export.latex(data)
    assert r"a\&b\_\%\$\#\textasciitilde{}\textasciicircum{}\textless{}b\textgreater{}" in latex
    assert "<script>" not in latex
    assert r"\textless{}script\textgreater{}\{x\}" in latex
    assert theme.png(picture(data))[:4] == b"\x89PNG"


def test_every_sign_that_latex_reads_is_escaped():
    signs = "\\~^&%$#_{}<>|"
    told = compare_export.escape(f"a{signs}b")
    bare = told
    for right in sorted((compare_export.escape(sign) for sign in signs), key=len, reverse=True):
        assert right in told
        bare = bare.replace(right, "")
    assert bare == "ab"


def test_parquet_and_table_hold_every_figure_unrounded(runs):
    data = some(runs, "ours", "held", "elsewhere", reference="held")
    frame = pd.read_parquet(io.BytesIO(compare_export.parquet(data))).set_index("run")
    assert frame.index.tolist() == [row.key for row in data.rows]
    for name in frame.index:
        values = standing(runs[name]).values
        assert frame.loc[name, "mask-only perplexity"] == values["mask-only/perplexity"]
    assert frame["protocol"].tolist() == [0, 0, 1]
    assert frame["reference"].tolist() == [True, False, False]
    latex = compare_export.latex(data)
    best = next(row for row in data.rows if row.cells["mask-only/perplexity"].mark == "best")
    assert f"\\textbf{{{best.cells['mask-only/perplexity'].shown}}}" in latex
    rows = [line for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len({line.count("&") - 2 * line.count(r"\&") for line in rows}) == 1


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_picture_has_the_colors_of_the_theme(runs, name):
    figure = picture(some(runs, "ours", "held", "elsewhere", "half", reference="held"), name)
    shown = {one.get_text() for one in figure.axes[0].texts}
    assert {"ours", "held (reference)", "elsewhere"} <= shown
    assert figure.get_size_inches()[0] * theme.DPI == theme.WIDTH_PX
    assert theme.png(figure, name)[:4] == b"\x89PNG"


def test_no_more_runs_than_there_is_room_for(runs):
    many = {f"run {number}": runs["ours"] for number in range(compare.MOST_RUNS + 3)}
    assert len(compare_data(many).rows) == compare.MOST_RUNS
