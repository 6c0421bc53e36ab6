"""Repeat asks until the likelihood ratio is beyond doubt, and errs far less than what it asks."""

import pytest
from scipy.stats import binom

from genwright.core import Cost, InvalidArgument, Samples, Verdict
from genwright.testing import Flaky, Passes
from genwright.verifiers.repeat import Repeat


class Script:
    """Says, of every draw, the letters of its value one after the other."""

    def __init__(self):
        self.asked = {}

    def check(self, samples):
        says = {"y": True, "n": False, "?": None}
        found = []
        for value in samples.values:
            i = self.asked[value] = self.asked.get(value, -1) + 1
            passed = says[value[i]]
            score = None if passed is None else float(passed)
            cost = Cost(verifier_calls=1, seconds=2.0)
            found.append(Verdict(passed=passed, score=score, evidence=i, cost=cost))
        return found


def judge(*values, **settings):
    return Repeat(verifier=Script(), **settings).check(Samples(list(values)))


@pytest.mark.parametrize(
    ("answers", "passed", "asked"),
    [
        ("yy", True, 2),  # at 5% each two passes leave odds of 361 : 1
        ("nn", False, 2),
        ("ynyy", True, 4),
        ("nynn", False, 4),
        ("?y?y", True, 4),
        ("ynynyny", True, 7),  # the limit: the larger hypothesis wins
        ("ynynyn?", None, 7),  # even odds
        ("???????", None, 7),
    ],
)
def test_it_asks_until_little_doubt_is_left(answers, passed, asked):
    (verdict,) = judge(answers)
    assert (verdict.passed, verdict.cost.verifier_calls) == (passed, asked)
    assert verdict.cost.seconds == 2.0 * asked
    counts = verdict.evidence["checks"]
    told = answers[:asked]
    assert counts == {
        "passed": told.count("y"),
        "failed": told.count("n"),
        "undecided": told.count("?"),
    }
    assert verdict.evidence["last"] == asked - 1


def test_draws_are_asked_side_by_side_and_only_those_in_doubt_again():
    verdicts = judge("yy", "nynn", "nn")
    assert [v.passed for v in verdicts] == [True, False, False]
    assert [v.cost.verifier_calls for v in verdicts] == [2, 4, 2]
    assert judge() == []


def test_less_doubt_takes_more_checks():
    assert judge("yyy", doubt=1e-3)[0].cost.verifier_calls == 3
    assert judge("y", doubt=0.1)[0].cost.verifier_calls == 1


def test_partial_credit_is_kept():
    partial = Repeat(verifier=Passes(lambda v: Verdict.fail(score=v)))
    assert [v.score for v in partial.check(Samples([0.3, 0.8]))] == [0.3, 0.8]


def test_a_flaky_verifier_errs_far_less_when_it_is_asked_again():
    """4,000 draws at 5%: alone about 200 errors, repeated about 10 (of an SPRT between 1 : 361).

    At an error of at most 1/361 (Wald), 40 errors or more have a chance below 1e-10; fewer than 100
    of 4,000 at 5% below 1e-15.
    """
    truth = Passes(lambda value: value % 2 == 0)
    flaky = Flaky(truth, false_accept=0.05, false_reject=0.05, seed=1)
    draws = Samples(list(range(4000)))
    right = [value % 2 == 0 for value in draws.values]

    def errors(verifier):
        return sum(v.passed is not r for v, r in zip(verifier.check(draws), right, strict=True))

    assert errors(flaky) > 100
    assert errors(Repeat(verifier=flaky)) < 40
    assert binom.sf(39, 4000, 1 / 361) < 1e-9
    assert binom.cdf(100, 4000, 0.05) < 1e-12


@pytest.mark.parametrize(
    "wrong", [{"doubt": 0.0}, {"doubt": 0.5}, {"most": 0}, {"reliability": (0.6, 0.6)}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidArgument):
        Repeat(verifier=Script(), **wrong)
