"""Every fact can be had on a machine that has neither torch nor transformers: proved with both blocked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.analysis.worlds import World

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
sys.modules.update(dict.fromkeys(["torch", "transformers", "safetensors.torch", "huggingface_hub", "matplotlib"]))
from hyperprune_lab.record.reader import open_run
from hyperprune_lab.analysis import agreement, embeddings, forgetting, groups, histogram, information, linears
from hyperprune_lab.analysis import masktiles, network, outliers, reconstruction, scoretiles, sources
run = open_run(sys.argv[1])
module = linears.linears(run)["module"].iloc[0]
weights = sources.open_sources(run)
assert weights.available, weights.reason
tiles = masktiles.MaskTiles.of(run, module, against="wanda")
facts = [
    agreement.overall(agreement.by_module(run, "wanda")),
    embeddings.embeddings(run)[0].spread,
    forgetting.summary(run).average_forgetting,
    groups.explain(run, module, 0, 0, weights).candidates[0].cost,
    histogram.by_module(run)["entropy_share"].mean(),
    information.rows(run, module, weights).table["information"].mean(),
    scoretiles.ScoreTiles.of(run, module, tiles, weights).share(0, 0, 0).values.mean(),
    network.steps(run)["loss"].mean(),
    outliers.summary(outliers.readers(run)).keep_rate,
    reconstruction.trend(run)["expected"].mean(),
]
assert all(value == value and value is not None for value in facts), facts
"""


def test_a_laptop_without_torch_knows_every_fact(world: World):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(world.path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
