"""The dense model's hidden states: the model's own, whether kept or computed again, and kept within the limit only."""

from __future__ import annotations

import pytest
import torch

from hyperprune_lab.models.open import open_model
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.pipeline import gather as gathering
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.gather import Stream, gather
from hyperprune_lab.pipeline.run import Workbench
from hyperprune_lab.pipeline.subject import Subject


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def bench(shop, request):
    return Workbench.open(shop.config(request.param))


@pytest.fixture
def passes(monkeypatch):
    """Blocks in the order in which streams were taken through them."""
    seen = []
    through = Stream.through

    def counted(self, block):
        seen.append(block)
        return through(self, block)

    monkeypatch.setattr(gathering.Stream, "through", counted)
    return seen


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_hidden_states_are_the_models_own_in_whatever_order_they_are_asked_for(bench, limit):
    streams = DenseStreams.of(bench.subject, bench.calibration, limit)
    with torch.no_grad():
        own = bench.subject.model(bench.calibration.fit, output_hidden_states=True).hidden_states
    blocks = len(bench.subject.blocks)
    for block in (0, blocks, 1, 0, blocks):
        found = streams.fit.before(block).hidden
        if block < blocks:  # behind the last block, models give the normalized states away
            torch.testing.assert_close(found, own[block], rtol=1e-4, atol=1e-5)
        assert torch.equal(found, DenseStreams.of(bench.subject, bench.calibration).fit.before(block).hidden)


def test_all_stages_together_pay_for_one_pass_where_the_states_are_kept(bench, passes):
    streams = DenseStreams.of(bench.subject, bench.calibration, 1 << 30)
    blocks = len(bench.subject.blocks)
    for block in range(blocks):
        streams.fit.gather(block)
    for _ in range(2):
        for block in range(blocks + 1):
            streams.fit.before(block)
    assert passes == list(range(blocks))


def test_beyond_the_limit_every_stage_pays_for_one_pass_and_one_state_is_kept(bench, passes):
    exact = sum(stream.bytes for stream in (_fresh(bench).fit, _fresh(bench).heldout))
    assert _fresh(bench, exact).fit.keep
    streams = _fresh(bench, exact - 1)
    assert not streams.fit.keep
    blocks = len(bench.subject.blocks)
    for _ in range(2):
        for block in range(blocks):
            streams.fit.before(block)
            streams.fit.before(block + 1)
    assert passes == [*range(blocks)] * 2
    assert len(streams.fit._known) == 1


def test_statistics_are_those_of_a_stream_of_its_own(bench):
    streams = _fresh(bench)
    stream = Stream.start(bench.subject, bench.calibration.fit)
    for block in range(len(bench.subject.blocks)):
        expected, stream = gather(bench.subject, block, stream)
        found = streams.fit.gather(block)
        assert found.readers == expected.readers
        for name, statistics in found.by_linear.items():
            assert torch.equal(statistics.gram, expected.by_linear[name].gram)
        assert torch.equal(streams.fit.before(block + 1).hidden, stream.hidden)


def test_without_held_out_windows_the_fitted_ones_judge(shop):
    config = shop.config(calibration={"holdout": 0.0})
    opened = open_model(config.model)
    bench = Workbench.open(config)
    streams = DenseStreams.of(Subject.of(opened, NMPattern(2, 4)), bench.calibration)
    assert streams.heldout is None
    assert streams.judging is streams.fit


def _fresh(bench, *limit):
    return DenseStreams.of(bench.subject, bench.calibration, *limit)
