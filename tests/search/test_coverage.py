"""Coverage curves agree with enumeration, the law with itself, and both with recorded draws."""

import gzip
import json
from itertools import combinations
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from genwright.core import Budget, InvalidArgument, Task
from genwright.core.statistics import pass_at_k
from genwright.search.coverage import (
    Counts,
    PowerLaw,
    coverage,
    equal_cost,
    fit_power_law,
    fit_prior,
)
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.testing import Passes, Scripted

ROWS = st.lists(st.lists(st.sampled_from([True, False, None]), max_size=6), min_size=1, max_size=5)


@given(ROWS, st.integers(1, 6))
def test_coverage_is_the_mean_over_tasks_of_the_mean_over_subsets(rows, k):
    decided = [[f for f in row if f is not None] for row in rows]
    enough = [row for row in decided if len(row) >= k]
    results = [Counts.of(row) for row in rows]
    if not enough:
        with pytest.raises(InvalidArgument):
            coverage(results, [k])
        return
    by_hand = [[any(s) for s in combinations(row, k)] for row in enough]
    curve = coverage(results, [k])
    assert curve.at(k) == pytest.approx(sum(sum(b) / len(b) for b in by_hand) / len(by_hand))
    assert (curve.tasks, curve.left_out) == ((len(enough),), (len(rows) - len(enough),))
    assert curve.undecided == sum(row.count(None) for row in rows)
    assert 0 <= curve.low[0] <= curve.values[0] <= curve.high[0] <= 1


def test_the_interval_is_at_its_level_of_the_asked_size():
    results = [Counts(1, 0)] * 3 + [Counts(0, 1)] * 7
    wide, narrow = coverage(results, [1]), coverage(results, [1], ci=0.5)
    assert (wide.low[0], wide.high[0]) == pytest.approx((0.1078, 0.6032), abs=1e-4)
    assert wide.low[0] < narrow.low[0] < 0.3 < narrow.high[0] < wide.high[0]


@pytest.mark.parametrize(("a", "b"), [(-3.0, 0.3), (-0.5, 1.2), (-8.0, 0.05)])
def test_the_fit_recovers_a_noiseless_law(a, b):
    ks = [1, 2, 3, 5, 10, 30, 100]
    law = fit_power_law(ks, [exp(a * k**-b) for k in ks])
    assert (law.a, law.b, law.r2) == pytest.approx((a, b, 1.0), rel=1e-6)
    assert law.budget_for(law.predict(17)) == pytest.approx(17)
    assert law.dropped == ()


def test_points_at_zero_and_one_are_dropped_by_name():
    law = fit_power_law([1, 2, 4, 8, 16], [0.0, 0.2, 0.4, 0.6, 1.0])
    assert law.dropped == (1, 16)
    inner = fit_power_law([2, 4, 8], [0.2, 0.4, 0.6])
    assert (law.a, law.b, law.r2) == (inner.a, inner.b, inner.r2)


def test_the_fit_is_least_squares_on_coverage():
    ks, cov = [1, 2, 4, 8, 16], [0.11, 0.18, 0.34, 0.40, 0.61]
    law = fit_power_law(ks, cov)

    def loss(a, b):
        return sum((exp(a * k**-b) - c) ** 2 for k, c in zip(ks, cov, strict=True))

    best = loss(law.a, law.b)
    for da, db in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
        assert loss(law.a + da, law.b + db) > best
    mean = sum(cov) / 5
    assert law.r2 == pytest.approx(1 - best / sum((c - mean) ** 2 for c in cov))


@pytest.mark.parametrize("cov", [[0.5, 0.5, 0.5], [0.5, 0.4, 0.3], [0.0, 0.0, 0.5], [1.0] * 3])
def test_a_curve_that_shows_no_growth_has_no_law(cov):
    with pytest.raises(InvalidArgument, match="fit_power_law"):
        fit_power_law([1, 2, 3], cov)


def test_at_equal_cost_unmeasured_and_unaffordable_differ():
    weak = coverage([Counts(1, 3), Counts(0, 4)], [1, 2, 4])
    strong = coverage([Counts(2, 0)], [1, 2])
    rows = equal_cost({"weak": weak, "strong": strong}, {"weak": 0.1, "strong": 0.3})
    assert [row["cost"] for row in rows] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.6])
    assert [row["weak"] for row in rows] == [0.125, 0.25, 0.25, 0.5, None]
    assert [row["strong"] for row in rows] == [0.0, 0.0, 1.0, 1.0, 1.0]
    with pytest.raises(InvalidArgument, match="'strong' needs a price"):
        equal_cost({"strong": strong}, {"weak": 1.0})


@given(st.floats(1e-6, 1e3))
def test_a_cost_buys_the_draws_it_is_the_price_of(price):
    curve = coverage([Counts(1, 59)], range(1, 61))
    rows = equal_cost({"it": curve}, {"it": price})
    assert [row["it"] for row in rows] == list(curve.values)


@pytest.mark.parametrize(("a", "b"), [(0.4, 3.0), (2.0, 1.0)])
def test_the_prior_is_recovered_from_the_counts_it_predicts(a, b):
    """No noise: every count appears as often as the beta-binomial says, among 100,000 tasks."""
    n = 12
    results = [
        Counts(c, n - c)
        for c in range(n + 1)
        for _ in range(round(100_000 * betabinom.pmf(c, n, a, b)))
    ]
    assert fit_prior(results) == pytest.approx((a, b), rel=0.01)


@pytest.mark.parametrize(
    "call",
    [
        lambda: coverage([], [1]),
        lambda: coverage([Counts(1, 1)], []),
        lambda: coverage([Counts(1, 1)], [0]),
        lambda: coverage([Counts(1, 1, 5)], [3]),
        lambda: coverage([Counts(1, 1)], [1]).at(2),
        lambda: PowerLaw(-1, 1, 1).predict(0),
        lambda: PowerLaw(-1, 1, 1).budget_for(1.0),
        lambda: fit_prior([Counts(1, 1), Counts(0, 0, 4)]),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidArgument):
        call()


def test_repeated_sampling_of_recorded_draws_gives_their_coverage(shared_data):
    """CodeLlama-7B's recorded answers to CRUXEval, 10 a task; `correct` says which are right."""
    path = shared_data("code/cruxeval_codellama7b_samples.jsonl.gz")
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    strategy = RepeatedSampling(n=10, batch=4, stop_on_pass=False)
    results = []
    for row in rows:
        draws = Scripted(list(enumerate(row["correct"])))
        task = Task(row["id"], Passes(lambda draw: draw[1]))
        outcome = strategy.run(draws, task, Budget(), seed=0)
        results.append(Counts(**outcome.info))
    curve = coverage(results, range(1, 11))
    assert curve.at(1) == pytest.approx(sum(sum(r["correct"]) for r in rows) / len(rows) / 10)
    assert curve.at(10) == pytest.approx(sum(any(r["correct"]) for r in rows) / len(rows))
    assert all(a < b for a, b in zip(curve.values, curve.values[1:], strict=False))
    predicted = fit_power_law(curve.ks[:5], curve.values[:5]).predict(10)
    assert predicted == pytest.approx(curve.at(10), abs=0.02)


def test_pass_at_k_is_what_evalplus_reports():
    published = pytest.importorskip("evalplus.eval", reason="needs evalplus: pip install evalplus")
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 200))
        passed, k = int(rng.integers(0, n + 1)), int(rng.integers(1, n + 1))
        (theirs,) = published.estimate_pass_at_k([n], [passed], k)
        assert pass_at_k(n, passed, k) == pytest.approx(float(theirs), abs=1e-12)
