"""Coverage accounts for every parameter once, and stops a run that could not succeed."""

from __future__ import annotations

import pytest
from transformers import PreTrainedModel

from hyperprune_lab.errors import UserError
from hyperprune_lab.models import Coverage, coverage, find_blocks, prunable
from hyperprune_lab.patterns import NMPattern
from tests.architectures import ARCHITECTURES

TWO_OF_FOUR = NMPattern(2, 4)


def linear_names(model: PreTrainedModel) -> list[str]:
    blocks = find_blocks(model)
    return [
        linear.name
        for index in range(len(blocks))
        for linear in prunable(blocks[index], blocks.prefix(index))
    ]


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_every_parameter_stands_in_exactly_one_row(architecture: str) -> None:
    model = ARCHITECTURES[architecture]()
    found = coverage(model, TWO_OF_FOUR)
    parameters = dict(model.named_parameters())
    rows = {row.name if row.name in parameters else f"{row.name}.weight": row for row in found.rows}
    assert len(rows) == len(found.rows)
    assert rows.keys() == parameters.keys()
    assert found.total_parameters == sum(parameter.numel() for parameter in model.parameters())
    for name, parameter in parameters.items():
        assert rows[name].parameters == parameter.numel()
        assert sorted(rows[name].shape) == sorted(parameter.shape)
        assert (rows[name].pattern is not None) == (rows[name].status == "pruned")
    assert found.pruned_parameters == sum(row.parameters for row in found.rows if row.status == "pruned")
    assert list(found.patterns) == linear_names(model)
    assert 0 < found.share < 1


def test_shapes_of_transposed_weights_are_out_in() -> None:
    rows = {row.name: row for row in coverage(ARCHITECTURES["gpt2"](), TWO_OF_FOUR).rows}
    assert rows["transformer.h.0.attn.c_attn"].shape == (96, 32)


@pytest.mark.parametrize(
    ("architecture", "name", "status", "reason"),
    [
        ("llama", "model.embed_tokens.weight", "dense", "embedding"),
        ("llama", "lm_head.weight", "dense", "output head"),
        ("llama", "model.layers.1.input_layernorm.weight", "dense", "norm"),
        ("llama", "model.layers.1.mlp.up_proj", "pruned", "keeps 2 of every 4 (2:4)"),
        ("gpt2", "transformer.wte.weight", "dense", "embedding, also the output head"),
        ("gpt2", "transformer.h.2.mlp.c_fc.bias", "dense", "bias"),
        ("mixtral", "model.layers.0.mlp.gate.weight", "dense", "router: chooses among 4 experts"),
        ("mixtral", "model.layers.0.mlp.experts.down_proj", "not covered", "4 experts fused"),
    ],
)
def test_fates_and_reasons(architecture: str, name: str, status: str, reason: str) -> None:
    rows = {row.name: row for row in coverage(ARCHITECTURES[architecture](), TWO_OF_FOUR).rows}
    assert rows[name].status == status
    assert rows[name].reason.startswith(reason)


def test_the_share_of_a_mixture_of_experts_says_how_little_is_reached() -> None:
    found = coverage(ARCHITECTURES["mixtral"](), TWO_OF_FOUR)
    assert found.pruned_parameters == 2 * (32 * 32 * 2 + 16 * 32 * 2)
    assert found.share == pytest.approx(6144 / 63904)


def test_the_last_matching_override_wins() -> None:
    model = ARCHITECTURES["llama"]()
    overrides = (("down_proj", "4:8"), (r"layers\.0\.", "dense"), (r"layers\.0\.self_attn\.q_proj$", "1:4"))
    found = coverage(model, TWO_OF_FOUR, overrides)
    rows = {row.name: row for row in found.rows}
    assert rows["model.layers.0.mlp.down_proj"].status == "dense"
    assert rows["model.layers.0.mlp.down_proj"].reason == r"override 'layers\\.0\\.'"
    assert found.patterns == {
        name: NMPattern(1, 4) if name.startswith("model.layers.0.")
        else NMPattern(4, 8) if name.endswith("down_proj") else TWO_OF_FOUR
        for name in linear_names(model)
        if not name.startswith("model.layers.0.") or name.endswith("q_proj")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (("down_prj", "dense"), "'down_prj' matches no linear that can be pruned. Near names: down_proj"),
        (("lm_head", "2:4"), r"'lm_head' matches no linear .* components are q_proj, k_proj"),
        (("(", "dense"), r"'\(' is no regular expression"),
        (("q_proj", "half"), "'half' is no pattern"),
        (("q_proj", "4:4"), "4:4 prunes nothing"),
    ],
)
def test_overrides_that_are_refused(override: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        coverage(ARCHITECTURES["llama"](), TWO_OF_FOUR, (override,))


def test_a_width_that_groups_do_not_tile_is_refused_with_a_way_out() -> None:
    model = ARCHITECTURES["llama"]()
    with pytest.raises(
        UserError, match=r"model\.layers\.0\.self_attn\.q_proj .*\[32, 32\].* 3:7.* would fit"
    ):
        coverage(model, NMPattern(3, 7))
    # Only what is to be pruned must fit.
    found = coverage(model, NMPattern(3, 7), ((".", "dense"), ("up_proj", "2:4")))
    assert {pattern.group for pattern in found.patterns.values()} == {4}


def test_the_table_is_compact_aligned_and_adds_up() -> None:
    found = coverage(ARCHITECTURES["llama"](), TWO_OF_FOUR, (("layers.1.mlp.down_proj", "dense"),))
    lines = found.table().splitlines()
    assert lines[-1] == "20 linears with 25,600 of 36,064 parameters (71.0 %) will be pruned."
    body = [line.split() for line in lines[1:-1]]
    down = [line for line in body if line[0] == "model.layers.*.mlp.down_proj"]
    assert sorted(int(line[1]) for line in down) == [1, 2]
    assert len(body) == 9 + 3 + 1
    starts = {line.index(fate) for line in lines[1:-1] for fate in ("pruned:", "dense:") if fate in line}
    assert len(starts) == 1
    assert "not covered: 4 experts" in coverage(ARCHITECTURES["mixtral"](), TWO_OF_FOUR).table()


def test_nothing_is_covered_is_said_without_a_division_by_zero() -> None:
    assert Coverage(()).patterns == {}
    found = coverage(ARCHITECTURES["llama"](), TWO_OF_FOUR, ((".", "dense"),))
    assert found.share == 0
    assert found.table().endswith("(0.0 %) will be pruned.")
