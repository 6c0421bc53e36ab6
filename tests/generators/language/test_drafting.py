"""Which guesses are evaluated: those that pay, those that are legal, and none without room."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Guesses
from genwright.generators.language.drafting import Draft, drafted, threshold
from genwright.generators.language.legal import legal
from genwright.generators.language.step_cost import StepCost


def measured(level, slope, seed=0, steps=2000):
    """Return a cost that has watched steps of a machine, with noise of a tenth."""
    cost, rng = StepCost(), np.random.default_rng(seed)
    for tokens in rng.integers(1, 33, steps).tolist():
        cost.learn(tokens, level * (1 + slope * (tokens - 1)) * (1 + 0.1 * rng.standard_normal()))
    return cost


@pytest.mark.parametrize(("level", "slope"), [(0.02, 1 / 16), (0.01, 0.002), (0.3, 0.5)])
def test_the_cost_of_a_step_is_learnt_from_steps(level, slope):
    """With noise of 10% a step, the mean over the last 50 or so errs by about 2%."""
    cost = measured(level, slope)
    for tokens in (1, 8, 32):
        assert cost(tokens) == pytest.approx(level * (1 + slope * (tokens - 1)), rel=0.15)


def test_a_step_that_was_held_up_teaches_little_and_a_slower_machine_is_noticed():
    cost = measured(0.02, 0.06)
    before = cost(1)
    cost.learn(1, 5.0)
    assert cost(1) < 1.15 * before
    for _ in range(60):
        cost.learn(1, 0.2)
    assert cost(1) == pytest.approx(0.2, rel=0.05)


def test_many_equal_steps_leave_the_slope_alone():
    cost = StepCost()
    for _ in range(500):
        cost.learn(32, 0.1)
    assert cost.slope == pytest.approx(1 / 16)
    assert cost(32) == pytest.approx(0.1)


@given(
    st.lists(st.floats(0, 1), max_size=12),
    st.integers(1, 8),
    st.floats(1e-3, 1.0),
)
def test_as_many_guesses_are_taken_as_bring_the_most_tokens_a_second(odds, draws, slope):
    cost = StepCost()
    cost.level, cost.slope = 0.02, slope
    least = threshold([Guesses([0] * len(odds), [-1] * len(odds), odds)], draws, draws, cost)
    taken = [p for p in odds if p >= least]
    rates = [
        (draws + sum(sorted(odds, reverse=True)[:n])) / cost(draws + n)
        for n in range(len(odds) + 1)
    ]
    assert (draws + sum(taken)) / cost(draws + len(taken)) == pytest.approx(max(rates))


def test_a_guess_that_pays_has_more_odds_than_worth_says():
    """`worth` is what a source may leave out without a loss."""
    cost = StepCost()
    cost.level, cost.slope = 0.02, 0.05
    floor = cost.worth(4, 4.0)
    for odds, pays in ((floor * 0.99, False), (floor * 1.01, True)):
        assert (threshold([Guesses([0], [-1], [odds])], 4, 4.0, cost) <= odds) is pays


def test_the_best_guesses_of_all_draws_follow_their_pending_tokens():
    """Two draws share one step; the second has room for one guess only."""

    class Source:
        def __init__(self, *odds):
            self.odds = odds

        def draft(self, tokens, size, floor):
            return Guesses([7, 8, 9], [-1, 0, -1], self.odds)

    def draw(odds, limit):
        return SimpleNamespace(
            guesser=Source(*odds), finish="", pending=[5, 6], tokens=[5, 6], limit=limit, states=[]
        )

    cost = StepCost()
    cost.level, cost.slope = 0.02, 0.1
    first, second = draw((0.9, 0.8, 0.02), 100), draw((0.9, 0.9, 0.01), 4)
    drafts, failed = drafted([first, second], cost)
    assert not failed
    assert drafts[id(first)] == Draft([7, 8], [-1, 0, 1, 2])
    assert drafts[id(second)] == Draft([7], [-1, 0, 1])
    first.pending, second.pending, cost.slope = [6], [6], 1.0  # a token costs as much as a step
    drafts, _ = drafted([first, second], cost)
    assert drafts[id(first)] == drafts[id(second)] == Draft([], None)


class State:
    """After "1" the tokens 2 and 3 are forced; elsewhere 0 and 1 are allowed. 4 ends."""

    def __init__(self, done=()):
        self.done = tuple(done)

    def mask(self):
        forced = self.forced()
        return np.array([t in (forced[:1] or [0, 1, 4]) for t in range(5)])

    def advance(self, token):
        assert self.mask()[token]
        self.done = (*self.done, token)

    def fork(self):
        return State(self.done)

    def forced(self):
        return {1: [2, 3], 2: [3]}.get(self.done[-1] if self.done else None, [])


def drawing(*states):
    words = SimpleNamespace(eos=frozenset({4}))
    return SimpleNamespace(states=list(states), vocabulary=words, allowed=lambda: states[0].mask())


def paths(guesses):
    found = []
    for token, parent in zip(guesses.tokens, guesses.parents, strict=True):
        assert parent < len(found)
        found.append((*(found[parent] if parent >= 0 else ()), token))
    return found


def test_illegal_guesses_go_with_all_that_follows_them():
    tree = Guesses([0, 3, 0, 2, 0, 4], [-1, -1, 1, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    found = legal(tree, drawing(State()))
    assert paths(found) == [(0,), (0, 0)]
    assert list(found.odds) == [0.9, 0.5]


def test_forced_tokens_join_the_tree_with_the_odds_of_what_they_follow():
    tree = Guesses([0, 1, 2, 3, 0], [-1, 0, 1, 2, 3], [0.9, 0.8, 0.7, 0.6, 0.5])
    found = legal(tree, drawing(State()))
    assert paths(found) == [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 0)]
    assert list(found.odds) == [0.9, 0.8, 0.8, 0.8, 0.5]
    other = legal(Guesses([1, 0], [-1, 0]), drawing(State()))
    assert paths(other) == [(1,), (1, 2), (1, 2, 3)]  # 0 may not follow 1
    assert other.odds is None


def test_guesses_beside_a_forced_run_do_not_slip_behind_it():
    tree = Guesses([1, 2, 3, 0, 0, 0, 0], [-1, 0, 1, 2, 0, 4, 5])
    assert paths(legal(tree, drawing(State()))) == [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 0)]


def test_what_one_constraint_forces_another_may_forbid():
    class Never(State):
        def mask(self):
            return np.array([True, True, False, True, True])

        def forced(self):
            return []

        def advance(self, token):
            pass

        def fork(self):
            return Never()

    found = legal(Guesses([0, 1, 2], [-1, 0, 1]), drawing(State(), Never()))
    assert paths(found) == [(0,), (0, 1)]
