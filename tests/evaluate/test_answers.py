"""Greedy continuations and skill probes against decoding and scoring without cache, batches or padding."""

from dataclasses import dataclass

import pytest
import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate import generations, measure_skills, run_probes, side_by_side
from hyperprune_lab.evaluate.generate import Generation
from hyperprune_lab.evaluate.skills import answer_scores
from hyperprune_lab.evaluate.suite import opening
from tests.architectures import EOS_ID, build, tiny_tokenizer


@dataclass(frozen=True)
class Question:
    skill: str
    prompt: str
    answers: tuple[str, ...]
    correct: int


@pytest.fixture(scope="module")
def model():
    return build("llama")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def greedy(model, ids, steps):
    ids = list(ids)
    for _ in range(steps):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids


def biased_to(token):
    """A model that always predicts ``token``: its last norm writes ones for one row of the head."""
    model = build("llama")
    model.model.norm.weight.zero_()
    model.lm_head.weight.zero_()

    def constant(module, arguments, output):
        return torch.ones_like(output)

    model.model.norm.register_forward_hook(constant)
    model.lm_head.weight[token] = 1.0
    return model


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3_text"])
def test_generation_equals_greedy_decoding_without_cache(architecture, tokenizer):
    model = build(architecture)
    (found,) = generations(model, tokenizer, ["The cat"], new_tokens=20)
    start = tokenizer("The cat")["input_ids"]
    expected = greedy(model, start, len(found.ids))[len(start) :]
    assert list(found.ids) == expected
    assert len(found.ids) == 20 or found.ids[-1] == EOS_ID
    assert found.text == tokenizer.decode(expected, skip_special_tokens=True)


def test_generation_ignores_sampling_settings_of_the_model(model, tokenizer):
    configured = build("llama")
    configured.generation_config.do_sample = True
    configured.generation_config.repetition_penalty = 5.0
    assert generations(configured, tokenizer, ["The cat"], 20) == generations(
        model, tokenizer, ["The cat"], 20
    )


def test_generation_stops_at_the_end_of_text(tokenizer):
    (found,) = generations(biased_to(EOS_ID), tokenizer, ["a"], 20)
    assert found.ids == (EOS_ID,)
    assert found.text == ""
    several = biased_to(77)
    several.generation_config.eos_token_id = [76, 77]
    assert generations(several, tokenizer, ["a"], 20)[0].ids == (77,)


def test_generation_stops_at_the_context(tokenizer):
    never_ending = biased_to(77)
    (found,) = generations(never_ending, tokenizer, ["a" * 120], new_tokens=50)
    assert len(found.ids) == 8
    with pytest.raises(UserError, match="has 128 tokens"):
        generations(never_ending, tokenizer, ["a" * 128])


def test_an_empty_prompt_begins_at_the_start_of_a_text(model, tokenizer):
    (found,) = generations(model, tokenizer, [""], new_tokens=3)
    assert list(found.ids) == greedy(model, [tokenizer.bos_token_id], 3)[1:]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 2, 3), (1, 2, 3), None),
        ((1, 2, 3), (1, 9, 3), 1),
        ((1, 2), (1, 2, 3), 2),
        ((), (), None),
        ((), (1,), 0),
    ],
)
def test_first_difference(a, b, expected):
    (pair,) = side_by_side([Generation("p", a, "")], [Generation("p", b, "")])
    assert pair.diverges_at == expected


def test_opening_ends_at_a_word():
    assert opening("  one two three", 8) == "one two"
    assert opening("one two three", 7) == "one two"
    assert opening("short", 80) == "short"
    assert opening("x" * 50, 10) == "x" * 10


QUESTIONS = [
    Question("who", "Ann has it. Who has it?", (" Ann", " Bob", " Christopher"), 0),
    Question("where", "The cup is on the mat. It is on the", (" mat", " hill"), 0),
    Question("who", "Bob ran. Who ran?", (" Ann", " Bob"), 1),
]


def score_by_hand(model, tokenizer, prompt, answer):
    start, whole = (tokenizer(text)["input_ids"] for text in (prompt, prompt + answer))
    with torch.no_grad():
        likelihood = torch.log_softmax(model(torch.tensor([whole])).logits[0].double(), -1)
    return sum(likelihood[place - 1, whole[place]].item() for place in range(len(start), len(whole)))


@pytest.mark.parametrize("architecture", ["llama", "opt", "gpt2"])
@pytest.mark.parametrize("batch", [1, 2, 64])
def test_scores_match_one_sequence_at_a_time(architecture, tokenizer, batch):
    model = build(architecture)
    found = answer_scores(model, tokenizer, QUESTIONS, batch)
    for question, scores in zip(QUESTIONS, found, strict=True):
        expected = [score_by_hand(model, tokenizer, question.prompt, answer) for answer in question.answers]
        assert scores == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("answers", "rows"), [((" a", " b", " c"), 1), ((" a", " ab", " abc"), 1), ((" ab", " ba"), 2)]
)
def test_answers_that_begin_alike_share_one_sequence(model, tokenizer, answers, rows):
    question = Question("letter", "It is", answers, 0)
    fed = []
    hook = model.model.embed_tokens.register_forward_hook(
        lambda module, args, output: fed.append(len(output))
    )
    try:
        (scores,) = answer_scores(model, tokenizer, [question])
    finally:
        hook.remove()
    assert sum(fed) == rows
    assert scores == pytest.approx([score_by_hand(model, tokenizer, "It is", a) for a in answers], abs=1e-4)


def test_accuracy_and_margin_by_skill(model, tokenizer):
    scores = answer_scores(model, tokenizer, QUESTIONS)
    margins = [
        row[question.correct] - max(score for index, score in enumerate(row) if index != question.correct)
        for question, row in zip(QUESTIONS, scores, strict=True)
    ]
    found = measure_skills(model, tokenizer, QUESTIONS)
    assert list(found) == ["who", "where"]
    assert found["who"].accuracy == ((margins[0] > 0) + (margins[2] > 0)) / 2
    assert found["who"].margin == pytest.approx((margins[0] + margins[2]) / 2)
    assert found["who"].probes == 2
    assert run_probes(model, tokenizer, QUESTIONS) == {name: skill.accuracy for name, skill in found.items()}
    assert run_probes(model, tokenizer, []) == {}


def test_the_right_answer_wins_and_a_tie_is_wrong(tokenizer):
    question = [Question("letter", "It is", (" b", " a"), 1)]
    assert run_probes(biased_to(tokenizer(" a")["input_ids"][1]), tokenizer, question) == {"letter": 1.0}
    assert run_probes(biased_to(tokenizer(" b")["input_ids"][1]), tokenizer, question) == {"letter": 0.0}
    assert run_probes(biased_to(77), tokenizer, question) == {"letter": 0.0}


def test_answers_that_merge_with_the_prompt_are_scored_from_the_same_place(model):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["tc"])  # "cat" + "c..." merges across the border, "cat" + "d..." does not
    question = Question("merge", "a cat", ("ca", "da"), 0)
    (scores,) = answer_scores(model, tokenizer, [question])
    for answer, score in zip(question.answers, scores, strict=True):
        whole = tokenizer("a cat" + answer)["input_ids"]
        with torch.no_grad():
            likelihood = torch.log_softmax(model(torch.tensor([whole])).logits[0], -1)
        first = len(tokenizer("a ca")["input_ids"])
        expected = sum(likelihood[place - 1, whole[place]].item() for place in range(first, len(whole)))
        assert score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question("x", "Who?", (" Ann",), 0), "needs two answers"),
        (Question("x", "Who?", (" Ann", ""), 0), "an answer adds no token"),
        (Question("x", "", ("Ann", "Bob"), 0), "no token of its own"),
    ],
)
def test_probes_that_cannot_be_scored(model, tokenizer, question, message):
    with pytest.raises(UserError, match=message):
        answer_scores(model, tokenizer, [question])
