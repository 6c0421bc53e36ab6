"""Strategies named on one line become strategies of the right size for a budget."""

import pytest

from genwright.core import Budget, TaskFileError
from genwright.search.alphamath import StepBeam, StepMCTS
from genwright.search.b4 import B4, CodeT
from genwright.search.best_of_n import BestOfN
from genwright.search.contenders import MANY, contenders
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.search.single import Single
from genwright.search.tested_selection import TestedSelection
from genwright.verifiers.math_answer import MathKey


def made(line, like=None, **limit):
    budget = Budget(**(limit or {"draws": 8}))
    return [make(budget) for make in contenders(line, like).values()]


def test_the_whole_budget_goes_to_the_draws():
    assert made("single,repeated,vote,best,sequential") == [
        Single(),
        RepeatedSampling(n=8),
        MajorityVote(k=8),
        BestOfN(n=8),
        Sequential(n=8),
    ]


@pytest.mark.parametrize(("draws", "n", "m"), [(8, 4, 4), (7, 4, 3), (1, 1, 1)])
def test_programs_and_tests_share_it(draws, n, m):
    assert made("b4,codet", draws=draws) == [
        TestedSelection(n=n, m=m, selector=B4()),
        TestedSelection(n=n, m=m, selector=CodeT()),
    ]


def test_searches_of_steps_have_short_names_and_spend_what_the_budget_allows():
    assert made("beam:b1=2,mcts:children=3", draws=6) == [
        StepBeam(b1=2),
        StepMCTS(children=3),
    ]


def test_settings_are_values_of_toml_or_names_of_methods():
    assert made(
        " vote:key=math_key , repeated:batch=2:stop_on_pass=false,sequential:prior=[1,2]"
    ) == [
        MajorityVote(k=8, key=MathKey()),
        RepeatedSampling(n=8, batch=2, stop_on_pass=False),
        Sequential(n=8, prior=(1, 2)),
    ]
    (vote,) = made("majority_vote:key={method = 'math_key', extract = 'boxed'}:k=3")
    assert vote == MajorityVote(k=3, key=MathKey(extract="boxed"))
    assert made("best:score=logprob") == [BestOfN(n=8, score="logprob")]


def test_settings_of_the_task_s_own_strategy_are_taken_over_where_they_fit():
    like = {"method": "majority_vote", "k": 4, "batch": 3, "key": {"method": "math_key"}}
    assert made("vote,repeated", like) == [
        MajorityVote(k=8, batch=3, key=MathKey()),
        RepeatedSampling(n=8),
    ]
    assert made("vote:batch=2", like)[0].batch == 2


def test_a_budget_in_something_else_is_looked_at_after_every_draw():
    assert made("vote,single", new_tokens=100) == [MajorityVote(k=MANY, batch=1), Single()]
    assert made("vote:k=5:batch=4", new_tokens=100) == [MajorityVote(k=5, batch=4)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "name at least one"),
        ("vote,vote", "given twice"),
        ("voting", "no strategy is called 'voting'"),
        ("vote:key", "must read key=value, got 'key'"),
        ("vote:=3", "must read key=value"),
        ("vote:kee=3", "has no key 'kee'"),
    ],
)
def test_what_cannot_be_read_is_told(line, message):
    with pytest.raises(TaskFileError, match=message):
        made(line)
