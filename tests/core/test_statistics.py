"""Estimators agree with enumeration, intervals with SciPy and with the coverage they promise."""

from itertools import combinations, product
from math import comb, inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from genwright.core import InvalidArgument
from genwright.core.statistics import (
    bootstrap,
    clopper_pearson,
    k_max,
    mcnemar,
    mean_interval,
    paired_bootstrap,
    pass_at_k,
    wilson,
)


@settings(deadline=None)  # a slow example on a loaded machine is no counterexample
@given(st.lists(st.booleans(), min_size=1, max_size=10), st.data())
def test_pass_at_k_is_the_average_over_all_subsets(draws, data):
    k = data.draw(st.integers(1, len(draws)))
    subsets = [any(s) for s in combinations(draws, k)]
    assert pass_at_k(len(draws), sum(draws), k) == pytest.approx(sum(subsets) / len(subsets))


@pytest.mark.parametrize(("p", "k"), [(0.1, 1), (0.3, 4), (0.9, 8)])
def test_pass_at_k_is_unbiased(p, k):
    """Exact: the mean over the binomial distribution of the count."""
    n = 8
    mean = sum(stats.binom.pmf(c, n, p) * pass_at_k(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_pass_at_k_does_not_overflow_and_grows_with_k():
    curve = [pass_at_k(10_000, 3, k) for k in (1, 10, 100, 1000, 9998, 10_000)]
    assert curve == sorted(curve)
    assert curve[0] == pytest.approx(3e-4)
    assert curve[-2:] == [1.0, 1.0]
    assert pass_at_k(10_000, 3, 1000) == pytest.approx(1 - comb(9997, 1000) / comb(10_000, 1000))


@pytest.mark.parametrize("wrong", [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_impossible_counts(wrong):
    with pytest.raises(InvalidArgument, match="pass_at_k"):
        pass_at_k(*wrong)


@pytest.mark.parametrize(("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "exact")])
@settings(deadline=None)
@given(st.integers(1, 300), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_intervals_of_a_rate_agree_with_scipy(ours, theirs, n, data, level):
    passed = data.draw(st.integers(0, n))
    found = ours(passed, n, level)
    expected = stats.binomtest(passed, n).proportion_ci(level, theirs)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.estimate == passed / n <= found.high <= 1
    assert (found.n, found.level, found.excluded) == (n, level, 0)


def test_the_exact_interval_covers_every_rate_and_wilsons_nearly():
    n, level = 25, 0.9
    rates = np.linspace(0.01, 0.99, 99)
    for interval, least in ((clopper_pearson, level), (wilson, level - 0.08)):
        ends = [interval(c, n, level) for c in range(n + 1)]
        for p in rates:
            covered = sum(
                stats.binom.pmf(c, n, p) for c, end in enumerate(ends) if end.low <= p <= end.high
            )
            assert covered >= least


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize("wrong", [(0, 0), (3, 2), (-1, 2), (1, 2, 1.0), (1, 2, 0.0)])
def test_a_rate_needs_a_trial_and_a_level(interval, wrong):
    with pytest.raises(InvalidArgument):
        interval(*wrong)


def test_the_mean_interval_is_students():
    values = [1.0, 2.5, None, 4.0, 0.5]
    known = [v for v in values if v is not None]
    found = mean_interval(values, 0.9)
    expected = stats.ttest_1samp(known, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.estimate, found.n, found.excluded) == (2.0, 4, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_tasks(pairs):
    result = mcnemar([a for a, _ in pairs], [b for _, b in pairs])
    first, second = pairs.count((True, False)), pairs.count((False, True))
    assert (result.first_only, result.second_only, result.n) == (first, second, len(pairs))
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert result.p_value == pytest.approx(expected, abs=1e-12)


def test_mcnemar_by_enumeration_and_with_undecided_tasks():
    result = mcnemar([True] * 5 + [None, True], [False] * 5 + [True, None])
    as_uneven = [abs(sum(c) - 2.5) >= 2.5 for c in product([0, 1], repeat=5)]
    assert result.p_value == pytest.approx(sum(as_uneven) / 32)
    assert (result.n, result.excluded) == (5, 2)


def test_the_bootstrap_interval_is_the_quantile_over_all_resamples():
    """Exact limit: all 4^4 resamples, whose means are 0.25 apart.

    0.1 and 0.9 lie 0.049 or further from the nearest step of their distribution, which is 16
    standard errors of a share of 10,000 resamples: the chance of a false alarm is below 1e-9.
    """
    values = [0.0, 1.0, 1.0, 1.0]
    means = [np.mean(s) for s in product(values, repeat=4)]
    low, high = np.quantile(means, [0.1, 0.9])
    found = bootstrap([*values, None], seed=3, level=0.8)
    assert (found.low, found.high, found.estimate) == (low, high, 0.75) == (0.5, 1.0, 0.75)
    assert (found.n, found.excluded) == (4, 1)


def test_any_statistic_can_be_bootstrapped_and_the_seed_decides():
    values = [float(v) for v in range(30)]
    found = bootstrap(values, lambda x: float(np.median(x)), seed=1, resamples=500)
    assert found.estimate == 14.5
    assert found.low < 14.5 < found.high
    assert found == bootstrap(values, lambda x: float(np.median(x)), seed=1, resamples=500)
    assert found != bootstrap(values, lambda x: float(np.median(x)), seed=2, resamples=500)


def test_pairing_removes_what_both_sides_share():
    hard = [float(i) for i in range(40)]
    found = paired_bootstrap([h + 1 for h in hard], hard, seed=0, resamples=200)
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)
    mixed = paired_bootstrap([True, None, True], [False, True, None], seed=0, resamples=10)
    assert (mixed.estimate, mixed.n, mixed.excluded) == (1.0, 1, 2)


@settings(deadline=None)
@given(st.integers(1, 500), st.sampled_from([0.01, 0.1, 0.2]), st.sampled_from([0.01, 0.05, 0.5]))
def test_k_max_is_the_last_count_whose_tail_is_small(n, epsilon, delta):
    tails = stats.binom.cdf(range(n + 1), n, epsilon)
    good = [k for k in range(n + 1) if tails[k] <= delta]
    if good:
        assert k_max(n, epsilon, delta) == good[-1]
        return
    with pytest.raises(InvalidArgument, match="give at least") as caught:
        k_max(n, epsilon, delta)
    needed = int(str(caught.value).split("at least ")[1].rstrip("."))
    assert k_max(needed, epsilon, delta) == 0
    assert (1 - epsilon) ** (needed - 1) > delta


def test_k_max_allows_a_tail_of_exactly_delta():
    assert (k_max(1, 0.5, 0.5), k_max(2, 0.5, 0.75)) == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_interval([1.0, None]),
        lambda: mean_interval([1.0, nan]),
        lambda: mean_interval([1.0, 2.0], 1.5),
        lambda: bootstrap([None], seed=0),
        lambda: bootstrap([inf], seed=0),
        lambda: bootstrap([1.0], seed=0, resamples=0),
        lambda: bootstrap([1.0], seed=0, level=0),
        lambda: paired_bootstrap([1.0], [], seed=0),
        lambda: mcnemar([True], []),
        lambda: k_max(0, 0.1, 0.1),
        lambda: k_max(10, 0.0, 0.1),
        lambda: k_max(10, 0.1, 1.0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidArgument):
        call()
