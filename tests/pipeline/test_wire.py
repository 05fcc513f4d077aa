"""Events as lines: what goes in comes out, arrays excepted, and nothing else does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.errors import UserError
from hyperprune_lab.events import (
    InputMeasured,
    ModuleDecided,
    NetworkSaved,
    Notice,
    RunFinished,
    RunPaused,
    StepMeasured,
)
from hyperprune_lab.pipeline.wire import decode, encode

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=30)
@given(result=st.dictionaries(st.text(), plain), step=st.integers(), block=st.none() | st.integers())
def test_plain_fields_survive(result, step, block):
    for event in (RunFinished(result), StepMeasured("layers", block, step, 9, {"loss": 0.5})):
        line = encode(event)
        assert "\n" not in line
        assert decode(line) == event


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_survive(value):
    back = decode(encode(StepMeasured("model", None, 0, 1, {"loss": value}))).values["loss"]
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_arrays_are_left_out_and_tuples_stay_tuples():
    mask, arrays = np.ones((512, 512), dtype=bool), {"rows": np.zeros(4096)}
    decided = ModuleDecided("layers", 0, "q", "2:4", mask, {"error_rel": 0.25}, arrays)
    line = encode(decided)
    assert len(line) < 300
    back = decode(line)
    assert (back.module, back.scalars, back.mask.size, back.arrays) == ("q", {"error_rel": 0.25}, 0, {})
    measured = InputMeasured("layers", 0, "x", ("q", "k"), {}, arrays)
    assert decode(encode(measured)) == InputMeasured("layers", 0, "x", ("q", "k"), {})
    assert decode(encode(NetworkSaved("layers", arrays, {"a": 1}))) == NetworkSaved("layers", {}, {"a": 1})
    assert decode(encode(RunPaused())) == RunPaused()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loading weights ...",
        "[]",
        '{"kind": "Exit", "fields": {}}',
        '{"kind": "Notice", "fields": []}',
        '{"kind": "Notice", "fields": {"level": "info"}}',
        encode(Notice("info", "x")).replace('"message"', '"massage"'),
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises(UserError, match="damaged"):
        decode(line)
