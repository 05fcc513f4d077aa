"""Token losses, perplexity, divergence and their differences against computations by hand."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate import (
    build_suite,
    divergence,
    evaluation_texts,
    evaluation_windows,
    gap_closed,
    loss_difference,
    measure,
    perplexity_from,
    remember_logits,
    token_losses,
)
from hyperprune_lab.evaluate import logits as logits_module
from hyperprune_lab.evaluate.texts import C4_WINDOWS, embedded_texts
from tests.architectures import VOCABULARY, build, tiny_tokenizer


@pytest.fixture(scope="module")
def model():
    return build("llama")


@pytest.fixture(scope="module")
def other():
    return build("llama", seed=1)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def random_ids(windows=5, window=12, seed=0):
    return torch.randint(VOCABULARY, (windows, window), generator=torch.Generator().manual_seed(seed))


def log_probabilities(model, ids):
    with torch.no_grad():
        return torch.log_softmax(model(ids).logits.double(), dim=-1)


def expected_losses(model, ids):
    likelihood = log_probabilities(model, ids)
    rows = [
        [-likelihood[window, place, ids[window, place + 1]].item() for place in range(ids.shape[1] - 1)]
        for window in range(len(ids))
    ]
    return torch.tensor(rows)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("batch", [1, 2, 5, 7, None])
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 24])
def test_token_losses_match_a_computation_by_hand(model, monkeypatch, batch, chunk):
    monkeypatch.setattr(logits_module, "CHUNK_ELEMENTS", chunk)
    ids = random_ids()
    found = token_losses(model, ids, batch)
    assert found.shape == (5, 11)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected_losses(model, ids), rtol=1e-4, atol=1e-4)


def test_a_uniform_model_has_the_vocabulary_as_perplexity(tokenizer):
    model = build("llama")
    model.lm_head.weight.zero_()
    windows = evaluation_windows({"a": "any text at all " * 8}, tokenizer, 16)
    found = perplexity_from(token_losses(model, windows[0].ids), windows, model)
    assert found.nats == pytest.approx(math.log(VOCABULARY), rel=1e-6)
    assert found.perplexity == pytest.approx(VOCABULARY, rel=1e-5)


def test_perplexity_is_the_published_formula(model, tokenizer):
    windows = evaluation_windows({"a": "the cat sat on the mat. " * 9}, tokenizer, 20)
    losses = token_losses(model, windows[0].ids)
    # As published: mean over window - 1 positions, times the window, over all tokens.
    summed = sum(row.double().mean().item() * 20 for row in losses)
    found = perplexity_from(losses, windows, model)
    assert found.perplexity == pytest.approx(math.exp(summed / (len(losses) * 20)), rel=1e-9)
    assert (found.windows, found.window, found.tokens) == (len(losses), 20, len(losses) * 20)


def test_infinite_loss_is_an_infinite_perplexity(model, tokenizer):
    windows = evaluation_windows({"a": "x" * 16}, tokenizer, 8)
    assert perplexity_from(torch.full((2, 7), 1e4), windows, model).perplexity == math.inf


def test_the_model_keeps_its_dtype_and_mode(model, tokenizer):
    halved = build("llama").to(torch.bfloat16).train()
    ids = random_ids()
    found = token_losses(halved, ids)
    assert halved.training
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(found, token_losses(model, ids), rtol=0.05, atol=0.15)
    windows = evaluation_windows({"a": "x" * 16}, tokenizer, 8)
    assert (
        perplexity_from(token_losses(halved, windows[0].ids), windows, halved).protocol["dtype"] == "bfloat16"
    )


def test_measuring_is_deterministic_and_leaves_no_graph(model):
    ids = random_ids()
    assert torch.equal(token_losses(model, ids), token_losses(model, ids))
    assert not token_losses(model, ids).is_inference()


def test_windows_do_not_overlap_and_the_tail_is_dropped(tokenizer):
    text = "abcdefghij"
    (cut,) = evaluation_windows({"letters": text}, tokenizer, 4)
    assert tokenizer.decode(cut.ids[0]) + tokenizer.decode(cut.ids[1]) == "abcdefgh"
    assert cut.identity["windows"] == 2
    assert cut.identity["dropped_tokens"] == 2
    assert cut.identity["bos"] is False
    json.dumps(cut.identity)


def test_special_tokens_are_those_the_tokenizer_adds_by_default():
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    (cut,) = evaluation_windows({"letters": "abcdefgh"}, tokenizer, 4)
    assert cut.identity["bos"] is True
    assert cut.ids[0, 0] == tokenizer.bos_token_id
    assert (cut.ids == tokenizer.bos_token_id).sum() == 1


def test_the_fingerprint_changes_with_text_window_and_tokenizer(model, tokenizer):
    def fingerprint(text="abcdefgh" * 4, window=8, tokenizer=tokenizer):
        windows = evaluation_windows({"a": text}, tokenizer, window)
        return perplexity_from(token_losses(model, windows[0].ids), windows, model).protocol

    other = tiny_tokenizer()
    other.add_tokens(["new"])
    seen = [fingerprint(), fingerprint("abcdefgi" * 4), fingerprint(window=4), fingerprint(tokenizer=other)]
    assert fingerprint() == seen[0]
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])


def test_evaluation_texts_from_files(tmp_path):
    assert evaluation_texts(write(tmp_path / "own.txt", "one\n\ntwo\n")) == {"own": "one\n\ntwo\n"}
    rows = "".join(json.dumps({"text": text}) + "\n" for text in ("one", "two"))
    assert evaluation_texts(write(tmp_path / "rows.jsonl", rows)) == {"rows": "one\n\ntwo"}
    with pytest.raises(UserError, match="no text file"):
        evaluation_texts(str(tmp_path / "missing.txt"))


def test_public_texts_follow_the_published_protocol(monkeypatch, tokenizer):
    from hyperprune_lab.evaluate import texts

    monkeypatch.setattr(
        texts, "wikitext_rows", lambda split: iter([split, "", " = Title = \n", " Body . \n"])
    )
    assert evaluation_texts("wikitext2") == {"wikitext2": "test\n\n\n\n = Title = \n\n\n Body . \n"}
    monkeypatch.setattr(texts, "c4_rows", lambda split: (f"{split}{n}" for n in range(2000)))
    c4 = evaluation_texts("c4")
    assert c4["c4"].startswith("validation0 validation1 ")
    assert c4["c4"].endswith(" validation1099")
    assert len(evaluation_windows(c4, tokenizer, 8)[0].ids) == C4_WINDOWS


def test_embedded_texts_are_one_domain_a_file(tmp_path):
    write(tmp_path / "story.txt", "S")
    write(tmp_path / "ledger.txt", "L")
    write(tmp_path / "notes.md", "no")
    assert embedded_texts(tmp_path) == {"ledger": "L", "story": "S"}
    with pytest.raises(UserError, match=r"data/eval.*--eval-text"):
        embedded_texts(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "window", "message"),
    [
        ("short", 8, "evaluation text own has 5 tokens, shorter than one window of 8"),
        ("text", 1, "window of 1 tokens"),
    ],
)
def test_texts_that_cannot_be_cut(tokenizer, text, window, message):
    with pytest.raises(UserError, match=message):
        evaluation_windows({"own": text}, tokenizer, window)


def test_loss_difference_is_a_paired_bootstrap_over_windows():
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(40, 7, generator=generator) * 5  # windows differ widely; the difference hardly
    shift = 0.3 + 0.1 * torch.randn(40, 7, generator=generator)
    found = loss_difference(base + shift, base)
    assert found.nats == pytest.approx(shift.mean().item(), rel=1e-5)
    assert found == loss_difference(base + shift, base)
    assert found != loss_difference(base + shift, base, seed=1)
    assert found.low < found.nats < found.high
    # The normal approximation of the interval: mean +- 1.96 standard errors of the windows' differences.
    per_window = shift.mean(dim=1).double().numpy()
    half = 1.96 * per_window.std(ddof=1) / np.sqrt(40)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)
    opposite = loss_difference(base, base + shift)
    assert opposite.nats == pytest.approx(-found.nats)


def test_loss_difference_of_one_window_has_no_interval():
    found = loss_difference(torch.ones(1, 4), torch.zeros(1, 4))
    assert found == (1.0, None, None)


@pytest.mark.unchecked
def test_loss_difference_refuses_other_windows():
    with pytest.raises(ValueError, match="different windows"):
        loss_difference(torch.ones(2, 4), torch.zeros(1, 4))


@settings(max_examples=50, deadline=None)
@given(st.floats(1.1, 100), st.floats(0.06, 5), st.floats(-1, 2))
def test_gap_closed_inverts_its_definition(dense, cost, closed):
    wanda = dense * math.exp(cost)
    pruned = dense * math.exp(cost * (1 - closed))
    assert gap_closed(dense, wanda, pruned) == pytest.approx(closed, abs=1e-9)


def test_gap_closed_needs_a_gap():
    assert gap_closed(10.0, 10.0 * math.exp(0.049), 10.0) is None
    assert gap_closed(10.0, 9.0, 10.0) is None
    assert gap_closed(10.0, math.inf, 10.0) is None
    assert gap_closed(10.0, 20.0, 20.0) == pytest.approx(0)
    assert gap_closed(47.27, 70.4, 59.4) == pytest.approx(0.43, abs=0.005)


@pytest.mark.parametrize("batch", [1, 3, None])
@pytest.mark.parametrize("chunk", [1, 1 << 24])
def test_divergence_matches_a_computation_by_hand(model, other, monkeypatch, batch, chunk):
    monkeypatch.setattr(logits_module, "CHUNK_ELEMENTS", chunk)
    ids = random_ids()
    p, q = log_probabilities(other, ids), log_probabilities(model, ids)
    kl = (p.exp() * (p - q)).sum(-1).mean().item()
    agreement = (p.argmax(-1) == q.argmax(-1)).double().mean().item()
    for reference in (other, remember_logits(other, ids, batch)):
        found = divergence(model, reference, ids, batch)
        assert found.kl == pytest.approx(kl, rel=1e-4)
        assert found.agreement == pytest.approx(agreement)
        assert found.tokens == ids.numel()


def test_a_model_does_not_diverge_from_itself(model):
    ids = random_ids()
    for reference in (model, remember_logits(model, ids)):
        found = divergence(model, reference, ids)
        assert found.kl == pytest.approx(0, abs=1e-6)
        assert found.agreement == 1


def test_remembered_logits_survive_a_change_of_the_weights(model, other):
    changing, ids = build("llama"), random_ids()
    reference = remember_logits(changing, ids)
    changing.load_state_dict(other.state_dict())
    assert divergence(changing, reference, ids).kl == pytest.approx(
        divergence(other, model, ids).kl, rel=1e-5
    )


def test_remembered_logits_stay_under_their_limit_and_spread_out(model, other):
    ids = random_ids(windows=9)
    one_window = 12 * VOCABULARY * 4
    reference = remember_logits(model, ids, batch=2, limit_bytes=3 * one_window + 1)
    found = divergence(other, reference, ids, batch=4)
    assert found.tokens == 3 * 12
    expected = divergence(other, model, ids[[0, 4, 8]])
    assert found.kl == pytest.approx(expected.kl, rel=1e-5)
    assert divergence(other, remember_logits(model, ids, limit_bytes=1), ids).tokens == 12
    with pytest.raises(ValueError, match="9 windows"):
        divergence(other, reference, ids[:4])


def test_the_suite_measures_all_in_one_pass(model, other, tokenizer, monkeypatch):
    from hyperprune_lab.evaluate import suite as suite_module

    texts = {
        "encyclopedia": "Iron is a metal. " * 9,
        "ledger": "4 + 4 = 8\n" * 9,
        "story": "Ann has a cat. " * 9,
    }
    monkeypatch.setattr(suite_module, "evaluation_texts", lambda text: texts)
    suite = build_suite(tokenizer, context=16)
    dense = measure(model, tokenizer, suite, remember=True)
    assert list(dense.domains) == list(texts)
    for part in suite.windows:
        expected = token_losses(model, part.ids)
        torch.testing.assert_close(dense.losses[part.domain], expected, rtol=1e-4, atol=1e-4)
        assert dense.domains[part.domain].protocol["text"] == part.domain
    torch.testing.assert_close(dense.all_losses, token_losses(model, suite.ids), rtol=1e-4, atol=1e-4)
    assert dense.overall.nats == pytest.approx(dense.all_losses.double().mean().item())
    inside = torch.cat([dense.losses["story"], dense.losses["ledger"]]).mean().item()
    assert dense.in_domain == pytest.approx(inside, rel=1e-5)
    assert dense.out_of_domain == pytest.approx(dense.domains["encyclopedia"].nats, rel=1e-6)
    assert dense.divergence is None
    assert [found.prompt for found in dense.generations] == list(suite.prompts)
    pruned = measure(other, tokenizer, suite, reference=dense.reference)
    expected = divergence(other, model, suite.ids)
    assert pruned.divergence.kl == pytest.approx(expected.kl, rel=1e-4)
    assert pruned.divergence.agreement == pytest.approx(expected.agreement)
    json.dumps(pruned.overall.protocol)


def test_a_text_of_ones_own_is_neither_in_domain_nor_out(model, tokenizer, tmp_path):
    suite = build_suite(
        tokenizer, context=16, text=write(tmp_path / "own.txt", "words and more words " * 4), window=8
    )
    found = measure(model, tokenizer, suite)
    assert (found.in_domain, found.out_of_domain) == (None, None)
    assert found.overall.window == 8
    assert found.overall.perplexity == found.domains["own"].perplexity
    with pytest.raises(UserError, match="exceeds the model's context of 16"):
        build_suite(tokenizer, context=16, text=str(tmp_path / "own.txt"), window=32)
