"""Beliefs are Bayes' rule: by enumeration, by numeric integration, and calibrated in simulation."""

from itertools import product
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import beta

from genwright.core import InvalidArgument, Verdict
from genwright.search.belief import (
    JEFFREYS,
    answers_right,
    candidates,
    chance_of_another,
    draws_right,
    likeliest,
)
from genwright.verifiers.reliability import Reliability

WEIGHTS = st.lists(st.sampled_from([-3.0, -0.5, 0.0, 0.7, 3.0]), min_size=1, max_size=6)
PRIORS = st.sampled_from([(0.5, 0.5), (1.0, 3.0), (0.2, 0.9)])


@given(WEIGHTS, PRIORS)
def test_draws_are_right_as_often_as_enumeration_says(weights, prior):
    """Over all 2^n states, each rate integrated in closed form: B(a + right, b + wrong)."""
    n, (a, b) = len(weights), prior
    total, right = 0.0, np.zeros(n)
    for state in product((0, 1), repeat=n):
        weight = beta(a + sum(state), b + n - sum(state))
        weight *= exp(sum(w for w, r in zip(weights, state, strict=True) if r))
        total += weight
        right += weight * np.array(state)
    assert draws_right(weights, prior) == pytest.approx(list(right / total), abs=1e-9)


@given(WEIGHTS, PRIORS, st.sampled_from([1, 3, 8]), st.sampled_from([1.0, 0.9]))
def test_the_chance_of_another_is_the_posterior_integral(weights, prior, left, accepted):
    a, b = prior

    def likelihood(x):  # p = x^10 takes the pole at 0 away, and 1 - p behaves
        p = x**10
        told = np.prod([p * exp(w) + 1 - p for w in weights])
        return told * 10 * x ** (10 * a - 1) * (1 - p) ** (b - 1)

    whole = quad(likelihood, 0, 1, limit=200)[0]
    none = quad(lambda x: likelihood(x) * (1 - x**10 * accepted) ** left, 0, 1, limit=200)[0]
    found = chance_of_another(weights, left, accepted, prior)
    assert found == pytest.approx(1 - none / whole, abs=1e-5)
    assert found < chance_of_another(weights, left + 1, accepted, prior)


def test_without_a_limit_somebody_will_be_right():
    assert chance_of_another([-3.0], float("inf"), 0.9) == pytest.approx(1.0)


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=6),
    st.data(),
    PRIORS,
    st.sampled_from([0.5, 2.0, 9.0]),
)
def test_answers_are_right_as_often_as_the_model_draws_them(answers, data, prior, variety):
    """By the chain rule, draw after draw: P(right so far), then a seat in the restaurant."""
    weight = st.sampled_from([-2.0, 0.0, 1.5])
    weights = [data.draw(weight) for _ in answers]
    a, b = prior
    known = list(dict.fromkeys(x for x in answers if x is not None))
    scores = {}
    for right in [*known, None]:
        score, n_right, n_wrong, seats = 1.0, 0, 0, {}
        for answer, weight in zip(answers, weights, strict=True):
            total = a + b + n_right + n_wrong
            if answer is not None and answer == right:
                score *= (a + n_right) / total * exp(weight)
                n_right += 1
                continue
            score *= (b + n_wrong) / total
            n_wrong += 1
            if answer is not None:
                seated = sum(seats.values())
                score *= seats.get(answer, variety) / (variety + seated)
                seats[answer] = seats.get(answer, 0) + 1
        scores[right] = score
    found = answers_right(answers, weights, prior, variety)
    assert list(found) == known
    for answer in known:
        assert found[answer] == pytest.approx(scores[answer] / sum(scores.values()), abs=1e-9)


def test_the_belief_in_answers_is_calibrated_on_what_its_model_draws():
    """20,000 tasks of 6 draws each: of those believed at q, a share q is right.

    In each of 10 bins of about 2,000 tasks the error is below 5.5 standard errors: chance of a
    false alarm below 1e-6 over all of them (two-sided normal tail 4e-8 each).
    """
    rng = np.random.default_rng(0)
    (a, b), variety = (0.7, 1.1), 2.0
    believed, right = [], []
    for _ in range(20_000):
        p = rng.beta(a, b)
        answers, seats = [], []
        for _ in range(6):
            if rng.random() < p:
                answers.append("right")
            elif rng.random() < variety / (variety + len(seats)):
                seats.append(f"wrong {len(set(seats))}")
                answers.append(seats[-1])
            else:
                seats.append(seats[rng.integers(len(seats))])
                answers.append(seats[-1])
        chances = answers_right(answers, None, (a, b), variety)
        winner = max(chances, key=chances.__getitem__)
        believed.append(chances[winner])
        right.append(winner == "right")
    order = np.argsort(believed)
    for part in np.array_split(order, 10):
        q, share = np.mean(np.array(believed)[part]), np.mean(np.array(right)[part])
        assert abs(q - share) < 5.5 * np.sqrt(max(q * (1 - q), 0.01) / len(part))


def said(text):
    return [
        {"y": Verdict.ok(), "n": Verdict.fail(), "?": Verdict.undecided()}[letter]
        for letter in text
    ]


FLAKY = Reliability(0.05, 0.1)


@pytest.mark.parametrize(
    ("values", "verdicts", "chosen"),
    [
        ("abc", "nyy", 1),  # of equals the first
        ("abc", "n?n", 1),  # undecided says nothing, a failure something
        ("abc", "nnn", 0),  # a right draw may have been rejected
        ("aab", "nyn", 0),  # a value was judged already: its second verdict is no news
        ("aab", "?yn", 1),  # an undecided check is no verdict
    ],
)
def test_the_likeliest_draw(values, verdicts, chosen):
    found, chance = likeliest(list(values), said(verdicts), FLAKY)
    assert found == chosen
    assert 0 < chance < 1


def test_several_checks_of_one_draw_outweigh_one_of_another():
    twice = Verdict.ok({"checks": {"passed": 3, "failed": 0}})
    found, chance = likeliest(["a", "b"], [Verdict.ok(), twice], FLAKY)
    assert (found, chance > 0.98) == (1, True)
    assert candidates(["a", "b"], [Verdict.ok(), twice], FLAKY)[1] == pytest.approx(
        [log(0.9 / 0.05), 3 * log(0.9 / 0.05)]
    )


def test_where_no_right_draw_is_rejected_failures_are_final():
    assert likeliest(["a", "b"], said("nn"), Reliability(0.05, 0.0))[0] is None
    assert likeliest(["a", "b"], said("n?"), Reliability(0.05, 0.0))[0] == 1
    assert likeliest([], [], FLAKY) == (None, 0.0)
    assert draws_right([]) == []


def test_a_pass_means_less_where_much_has_failed():
    alone = likeliest(["a"], said("y"), FLAKY)[1]
    among = likeliest(list("abcdefghij"), said("nnnnnnnnny"), FLAKY)[1]
    assert alone > 0.9 > among


def test_priors_out_of_range_are_refused():
    for wrong in [(0.0, 1.0), (1.0, float("inf")), (1.0,)]:
        with pytest.raises(InvalidArgument, match="above 0"):
            draws_right([0.0], wrong)
        with pytest.raises(InvalidArgument, match="above 0"):
            answers_right(["a"], None, wrong)
    with pytest.raises(InvalidArgument, match="variety"):
        answers_right(["a"], None, JEFFREYS, 0.0)


def test_agreement_is_evidence_and_more_so_where_wrong_answers_vary():
    few, many = (answers_right(["a", "a", "b"], variety=v)["a"] for v in (0.5, 9.0))
    assert few < many
