"""The grid of modules, of architectures as they name their parts."""

from __future__ import annotations

import pytest

from hyperprune_lab.analysis.module_grid import module_grid
from tests.widgets import tinyrun


@pytest.mark.parametrize(
    ("locals_", "groups"),
    [
        (("self_attn.q_proj", "mlp.up_proj"), ["attention", "MLP"]),
        (("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"), ["attention", "attention", "MLP", "MLP"]),
        (("fc1", "self_attn.out_proj", "fc2"), ["attention", "MLP", "MLP"]),
        (
            ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h"),
            ["attention", "attention", "MLP"],
        ),
        (("mixer.in_proj", "block_sparse_moe.gate"), ["MLP", "other"]),
    ],
)
def test_rows_are_grouped_attention_first(tmp_path, locals_, groups):
    run = tinyrun.write_run(tmp_path / "run", tinyrun.Tiny(blocks=1, locals_=locals_), stop_after=1)
    grid = module_grid(run)
    assert [row.group for row in grid.rows] == groups
    assert {grid.rows[cell.row].name for cell in grid.cells} == set(locals_)


def test_few_experts_are_not_folded(tmp_path):
    tiny = tinyrun.Tiny(blocks=1, locals_=("mlp.experts.0.w1", "mlp.experts.1.w1"))
    assert all(row.fold is None for row in module_grid(tinyrun.write_run(tmp_path / "run", tiny)).rows)


def test_an_empty_record_has_an_empty_grid(tmp_path):
    from hyperprune_lab import open_run
    from hyperprune_lab.record.writer import RecordWriter

    RecordWriter.create(tmp_path / "run").close()
    grid = module_grid(open_run(tmp_path / "run"))
    assert (grid.blocks, grid.rows, grid.cells) == (0, (), ())
