"""Looks as strings, and the history of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab.errors import UserError
from hyperprune_lab.widgets.history import History, Past
from hyperprune_lab.widgets.look import Look

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
plain_names = names.filter(lambda name: name.strip() and name[0] != "[")


@given(
    run=plain_names,
    select=st.lists(names.filter(lambda name: "{" not in name and name[0] != "["), max_size=4).map(tuple),
    moment=st.none() | st.integers(0, 10**9),
    value=st.none() | st.booleans() | st.integers() | names | st.lists(names, max_size=2),
)
def test_a_look_survives_being_told(run, select, moment, value):
    look = Look(run=run, tab="mask", select=select, moment=moment, options={"map.measure": value})
    assert Look.of(str(look)) == look


def test_it_is_short_and_can_be_read():
    chosen = tuple(f"model.layers.{n}.mlp.up_proj" for n in (3, 4))
    look = Look(run="mine", tab="outliers", select=chosen, moment=130, options={"map.measure": "kept_score"})
    assert str(look) == (
        "run=mine&tab=outliers&select=model.layers.{3.mlp.up_proj,4.mlp.up_proj}&moment=130&map.measure=kept_score"
    )


@pytest.mark.parametrize("text", ["tab", "nonsense=1", "moment=soon", "select=[1]", "x" * 30_000])
def test_what_is_no_look_is_refused(text):
    with pytest.raises(UserError):
        Look.of(text)


def past(following=False, **look):
    return Past(Look(**look), None, None, following)


def test_back_goes_one_change_back():
    history = History()
    history.begin(past(tab="a"))
    for tab in ("b", "c"):
        history.note(past(tab=tab))
        history._moved = (frozenset(), 0.0)
    assert history.can_go_back
    assert [history.back().look.tab for _ in range(2)] == ["b", "a"]
    assert history.back() is None
    assert not history.can_go_back


def test_a_walk_is_one_step():
    history = History()
    history.begin(past())
    for moment in range(50):
        history.note(past(moment=moment))
    history.note(past(moment=49, tab="b"))
    assert history.back().look.moment == 49
    assert history.back().look.moment is None


def test_what_a_live_run_selects_is_nobodys_look():
    history = History()
    history.begin(past(following=True))
    history.note(past(following=True, select=("a",)))
    assert not history.can_go_back
    history.note(past(select=("b",)))
    assert history.back().look.select == ("a",)


def test_nothing_new_is_nothing():
    history = History()
    history.begin(past(tab="a"))
    history.note(past(tab="a"))
    history.paused = True
    history.note(past(tab="b"))
    assert not history.can_go_back
