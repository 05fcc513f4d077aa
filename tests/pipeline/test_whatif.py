"""What if: the same setting changes nothing, a dense block recovers what it cost, and the record stays as it was."""

from __future__ import annotations

import json

import pytest
import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.divergence import divergence, remember_logits
from hyperprune_lab.evaluate.perplexity import token_losses
from hyperprune_lab.pipeline import inquiry_worker
from hyperprune_lab.pipeline.inquiry import Inquiries
from hyperprune_lab.pipeline.session import run_to_record
from hyperprune_lab.pipeline.whatif import BlockChange, WhatIf


@pytest.fixture(scope="module")
def recorded(shop, tmp_path_factory):
    out = tmp_path_factory.mktemp("what") / "run"
    list(run_to_record(shop.config(method="wanda", compensation="none"), out))
    return out


@pytest.fixture(scope="module")
def opened(recorded):
    return WhatIf(recorded)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_setting_changes_nothing(opened, recorded):
    before = contents(recorded)
    found = opened.answer(BlockChange(1))
    assert found["before"] == pytest.approx(found["after"])
    assert {row["weights_changed"] for row in found["modules"]} == {0.0}
    assert found["kl_recovered"] == pytest.approx(0.0, abs=1e-7)
    assert contents(recorded) == before
    json.dumps(found, allow_nan=False)


def test_what_it_says_is_what_the_whole_model_does(opened):
    subject, ids = opened.run.subject, opened.ids
    name = "model.layers.1.mlp.up_proj"
    found = opened.answer(BlockChange(1, modules=(name,), method="magnitude", pattern="1:4"))
    reference = remember_logits(subject.model, ids)
    weight = subject.dense_weight(subject.by_name[name])
    strictest = weight.abs().unflatten(-1, (-1, 4)).argmax(-1)
    mask = torch.nn.functional.one_hot(strictest, 4).bool().flatten(-2)
    with subject.wearing(opened.masks | {name: mask}):
        assert found["after"]["kl"] == pytest.approx(divergence(subject.model, reference, ids).kl, rel=1e-4)
        nats = token_losses(subject.model, ids).double().mean().item()
    assert found["after"]["nats"] == pytest.approx(nats, rel=1e-5)
    assert found["difference"]["nats"] == pytest.approx(nats - found["before"]["nats"], abs=1e-5)
    assert found["modules"][0]["error_after"] > found["modules"][0]["error_before"]


def test_a_dense_block_recovers_all_where_the_rest_is_dense(opened):
    subject = opened.run.subject
    first = opened.answer(BlockChange(0, dense=True))
    assert first["kl_recovered"] > 0
    assert first["setting"]["method"] is None
    assert {row["error_after"] for row in first["modules"]} == {0.0}
    # Whatever was asked, the model is as it was.
    stored = dict(subject.model.named_parameters())
    assert all(torch.equal(stored[name], value) for name, value in subject.dense.items())


def test_other_text_and_more_of_it(opened, shop):
    told = []
    change = BlockChange.from_json({"block": 2, "samples": 4, "text": str(shop.eval_text)})
    found = opened.answer(change, lambda text, share: told.append((text, share)))
    assert found["setting"]["samples"] == 4
    assert any(row["weights_changed"] > 0 for row in found["modules"])
    assert any("text" in text for text, _ in told)
    assert [share for _, share in told] == sorted(share for _, share in told)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"block": 9}, "no block 9"),
        ({"block": "1"}, "number of a block"),
        ({"block": 0, "modules": ["model.layers.1.mlp.up_proj"]}, "not pruned in block 0"),
        ({"block": 0, "method": "wonda"}, "wonda"),
        ({"block": 0, "pattern": "3:5"}, "3:5"),
        ({"block": 0, "samples": 0}, "samples"),
        ({"block": 0, "weather": 1}, "weather"),
    ],
)
def test_what_cannot_be_tried_is_said(opened, asked, message):
    with pytest.raises(UserError, match=message):
        opened.answer(BlockChange.from_json(asked))


def test_the_worker_keeps_the_model_open_between_questions(recorded, monkeypatch):
    monkeypatch.setattr(inquiry_worker, "_OPEN", {})
    ask = inquiry_worker.QUESTIONS["what-if"]
    ask({"run": str(recorded), "block": 0, "dense": True}, lambda *_: None)
    kept = list(inquiry_worker._OPEN.values())
    ask({"run": str(recorded), "block": 1, "method": "magnitude"}, lambda *_: None)
    assert list(inquiry_worker._OPEN.values()) == kept
    with pytest.raises(UserError, match="not a run"):
        ask({"run": str(recorded / "nowhere"), "block": 0}, lambda *_: None)


def test_a_question_in_another_process_can_be_given_up(recorded):
    with Inquiries(threads=1) as desk:
        gone = desk.ask("what-if", {"run": str(recorded), "block": 0, "method": "alps"})
        gone.cancel()
        found = desk.ask("what-if", {"run": str(recorded), "block": 0, "dense": True})
        assert found.wait(60)
        assert gone.cancelled
        assert found.answer is not None, found.error
        assert found.answer["kl_recovered"] > 0
