"""Statistics against float64 computations on the explicit token matrix."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.calibration import statistics as module
from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator, full_precision
from hyperprune_lab.errors import UserError


def tokens_of(count, width, seed=0, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(count, width, generator=generator) @ mixing + offset


def gather(*batches, name="input"):
    accumulator = StatisticsAccumulator(batches[0].shape[-1], name=name)
    for batch in batches:
        accumulator.add(batch)
    return accumulator.finish()


def statistics_with_rms(rms, tokens=1000):
    rms = torch.as_tensor(rms, dtype=torch.float32)
    return InputStatistics(torch.diag(rms**2), torch.zeros_like(rms), rms**2, tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("chunk", [1, 40, 1 << 24])
def test_moments_match_float64(monkeypatch, dtype, chunk):
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk)
    x = tokens_of(57, 12, offset=0.5).to(dtype)
    found = gather(x[:20].reshape(4, 5, 12), x[20:21], x[21:])
    exact = x.double()
    torch.testing.assert_close(found.gram.double(), exact.T @ exact / 57, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.mean.double(), exact.mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.variance.double(), exact.var(0, correction=0), rtol=1e-5, atol=1e-5)
    assert found.tokens == 57
    assert torch.equal(found.gram, found.gram.T)
    assert found.gram.dtype == torch.float32


def test_variance_survives_a_large_constant_part():
    x = tokens_of(400, 3) * 0.01 + 3000.0
    exact = x.double().var(0, correction=0)
    torch.testing.assert_close(gather(*x.split(7)).variance.double(), exact, rtol=2e-2, atol=0.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.floats(-5, 5))
def test_merge_equals_one_pass(first, second, offset):
    a, b = tokens_of(first, 6, seed=1), tokens_of(second, 6, seed=2, offset=offset)
    merged, whole = gather(a).merge(gather(b)), gather(a, b)
    assert merged.tokens == whole.tokens
    for field in ("gram", "mean", "variance"):
        torch.testing.assert_close(getattr(merged, field), getattr(whole, field), rtol=1e-4, atol=1e-4)


def test_merge_refuses_other_widths():
    with pytest.raises(ValueError, match="6 and 5"):
        gather(tokens_of(4, 6)).merge(gather(tokens_of(4, 5)))


def test_energy_is_the_mean_squared_output():
    x, weight = tokens_of(50, 8), tokens_of(5, 8, seed=3)
    expected = (x.double() @ weight.double().T).square().sum(1).mean().item()
    assert gather(x).energy(weight) == pytest.approx(expected, rel=1e-5)
    assert gather(x).energy(weight.to(torch.bfloat16)) == pytest.approx(expected, rel=2e-2)


def test_outliers_use_the_median_and_the_threshold_is_inclusive():
    rms = [1.0, 1.0, 1.0, 5.9, 6.0, 100.0]  # median 3.45
    assert statistics_with_rms(rms).outliers().tolist() == [False] * 5 + [True]
    rms = [1.0] * 5 + [5.9, 6.0]
    assert statistics_with_rms(rms).outliers().tolist() == [False] * 6 + [True]
    assert statistics_with_rms(rms).outliers(threshold=5.0).tolist() == [False] * 5 + [True] * 2


def test_outliers_with_mostly_dead_channels():
    assert statistics_with_rms([0.0] * 6 + [1.0, 1.0, 1.0, 20.0]).outliers().tolist() == [False] * 9 + [True]
    assert not statistics_with_rms([0.0] * 4).outliers().any()


def test_dead_channels_are_listed():
    x = tokens_of(30, 5)
    x[:, 2] = 0
    found = gather(x)
    assert found.dead.tolist() == [False, False, True, False, False]
    assert found.rms[2] == 0
    assert math.isinf(found.condition())


def test_condition_matches_numpy_and_ignores_channel_units():
    x = tokens_of(200, 6)
    gram = (x.double().T @ x.double()) / 200
    scale = gram.diagonal().rsqrt()
    expected = torch.linalg.cond(gram * scale[:, None] * scale).item()
    assert gather(x).condition() == pytest.approx(expected, rel=1e-2)
    units = torch.tensor([1.0, 30.0, 1.0, 1e3, 1e-3, 1.0])
    assert gather(x * units).condition() == pytest.approx(expected, rel=1e-2)


def test_singular_inputs_have_infinite_condition():
    assert gather(tokens_of(5, 6)).rank_deficient
    assert math.isinf(gather(tokens_of(5, 6)).condition())
    x = tokens_of(100, 6)
    x[:, 1] = x[:, 0]
    assert not gather(x).rank_deficient
    assert math.isinf(gather(x).condition())


def test_tensors_restore_exactly(tmp_path):
    from safetensors.torch import load_file, save_file

    before = gather(tokens_of(9, 4))
    save_file(before.tensors(), tmp_path / "s.safetensors")
    after = InputStatistics.from_tensors(load_file(tmp_path / "s.safetensors"))
    assert after.tokens == before.tokens
    assert all(torch.equal(getattr(before, k), getattr(after, k)) for k in ("gram", "mean", "variance"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_values_name_the_input(bad):
    x = tokens_of(8, 4)
    x[3, 1] = bad
    with pytest.raises(UserError, match=r"layers\.0\.mlp\.up_proj: NaN or infinite"):
        gather(x, name="layers.0.mlp.up_proj")


def test_overflow_is_named_as_such():
    with pytest.raises(UserError, match="too large"):
        gather(torch.full((2, 3), 1e20))


def test_wrong_width_and_empty_input():
    accumulator = StatisticsAccumulator(4, name="q_proj")
    with pytest.raises(UserError, match="q_proj: expected 4"):
        accumulator.add(torch.zeros(2, 5))
    accumulator.add(torch.zeros(0, 4))
    with pytest.raises(UserError, match="q_proj: no calibration token"):
        accumulator.finish()


def test_finish_can_be_followed_by_more():
    accumulator = StatisticsAccumulator(4)
    x = tokens_of(10, 4)
    accumulator.add(x[:5])
    early = accumulator.finish()
    accumulator.add(x[5:])
    torch.testing.assert_close(early.mean, x[:5].mean(0))
    torch.testing.assert_close(accumulator.finish().mean, x.mean(0))


def test_full_precision_restores_the_setting_even_after_an_error():
    matmul = torch.backends.cuda.matmul
    original = matmul.fp32_precision
    try:
        matmul.fp32_precision = "tf32"
        seen = []
        with pytest.raises(ZeroDivisionError), full_precision():
            seen.append(matmul.fp32_precision) or 1 / 0
        assert seen == ["ieee"]
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = original
