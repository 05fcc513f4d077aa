"""The card is made of measured numbers, and finishing a model leaves its function as it was."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from transformers import AutoModelForCausalLM

from hyperprune_lab.demo import card, corpus, outliers
from hyperprune_lab.demo.tokenizer import save_tokenizer, train_tokenizer
from hyperprune_lab.demo.train import ModelShape, TrainConfig, train
from hyperprune_lab.demo.world import stories
from hyperprune_lab.errors import UserError

SHAPE = ModelShape(vocabulary=512, hidden=32, layers=2, heads=2, intermediate=48, context=256)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    save_tokenizer(train_tokenizer(stories(0, 300), vocabulary=512), root / "model")
    corpus.build_corpus(root / "corpus", root / "model", None, 30, workers=1)
    tokens = corpus.read_tokens(root / "corpus" / "train" / "story_world.xz")
    for part in ("train", "heldout"):
        corpus.write_tokens(root / "corpus" / part / "wikipedia.xz", tokens[:2000])
    config = TrainConfig(tokens=3 * 2 * 256, batch=2, outlier_channels=1, outlier_scale=4.0)
    train(root / "corpus", root / "trained", SHAPE, config)
    with pytest.MonkeyPatch.context() as patch:
        # Three steps teach no channel to carry information; here every channel counts as carrying.
        patch.setattr(card.outliers, "rescale", partial(outliers.rescale, minimum_share=0.0))
        report = card.finish(root / "trained", root / "corpus", root / "model", windows=2, per_skill=1)
    return root, report


def test_finishing_changes_no_bit_of_the_function(finished):
    root, report = finished
    assert report["outliers"]["factors"]
    ids = torch.arange(1, 60)[None]
    with torch.no_grad():
        before, after = (
            AutoModelForCausalLM.from_pretrained(str(root / name), dtype="auto")(input_ids=ids).logits
            for name in ("trained", "model")
        )
    assert before.dtype == torch.bfloat16
    assert torch.equal(before, after)


def test_the_card_states_what_the_report_holds(finished):
    root, report = finished
    text = (root / "model" / "README.md").read_text(encoding="utf-8")
    assert json.loads((root / "model" / "training.json").read_text(encoding="utf-8")) == report
    assert f"{report['parameters']:,} parameters" in text
    assert f"--tokens {report['tokens']}" in text
    assert f"{report['heldout_loss']['story_world']:.3f}" in text
    for skill, found in report["skills"].items():
        assert f"| {skill} | {found['accuracy']:.0%} |" in text
    assert f"{report['outliers']['after']['wanda_cost']:.3f}" in text


def test_an_untrained_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"training\.json"):
        card.finish(tmp_path, tmp_path, tmp_path)
