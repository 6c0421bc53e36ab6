"""Combinations follow Kleene's tables, add costs, and ask no more than they must."""

from dataclasses import dataclass, field
from itertools import product

import pytest

from genwright.core import Cost, InvalidArgument, Samples, Verdict
from genwright.verifiers.combine import AllOf, AnyOf, Weighted


@dataclass(frozen=True, kw_only=True)
class Says:
    """Says what stands at its place in the draw, and remembers what it was asked."""

    place: int
    asked: list = field(default_factory=list)

    def check(self, samples):
        self.asked.append(list(samples.values))
        cost = Cost(verifier_calls=1, seconds=1.0)
        return [
            Verdict(
                passed=None if said[self.place] is None else said[self.place] >= 0.5,
                score=said[self.place],
                evidence=self.place,
                cost=cost,
            )
            for said in samples.values
        ]


SCORES = (0.0, 0.25, 0.5, 1.0, None)
DRAWS = list(product(SCORES, repeat=3))


def three():
    return tuple(Says(place=i) for i in range(3))


def kleene(draw):
    return [None if score is None else score >= 0.5 for score in draw]


def test_all_of_is_the_strong_conjunction_on_every_combination():
    for draw, verdict in zip(DRAWS, AllOf(verifiers=three()).check(Samples(DRAWS)), strict=True):
        said = kleene(draw)
        assert verdict.passed is (False if False in said else None if None in said else True)
        if verdict.passed:
            assert verdict.score == min(draw)


def test_any_of_is_the_strong_disjunction_on_every_combination():
    for draw, verdict in zip(DRAWS, AnyOf(verifiers=three()).check(Samples(DRAWS)), strict=True):
        said = kleene(draw)
        assert verdict.passed is (True if True in said else None if None in said else False)
        if verdict.passed is False:
            assert verdict.score == max(draw)


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.75, 1.0])
def test_weighted_decides_exactly_when_no_completion_could_differ(threshold):
    """Against every completion of the undecided parts by 0 and by 1."""
    check = Weighted(verifiers=three(), weights=(1, 2, 5), threshold=threshold)
    for draw, verdict in zip(DRAWS, check.check(Samples(DRAWS)), strict=True):
        ways = product(*[(0.0, 1.0) if score is None else (score,) for score in draw])
        means = [(a + 2 * b + 5 * c) / 8 for a, b, c in ways]
        reached = {mean >= threshold for mean in means}
        assert verdict.passed is (reached.pop() if len(reached) == 1 else None)
        assert verdict.score == (None if verdict.passed is None else pytest.approx(min(means)))


def test_a_sum_that_misses_by_rounding_has_reached_the_threshold():
    check = Weighted(verifiers=three(), weights=(0.1, 0.7, 0.2), threshold=0.8)
    assert check.check(Samples([(1.0, 1.0, 0.0)]))[0].passed is True
    assert check.check(Samples([(1.0, 0.999, 0.0)]))[0].passed is False


def test_a_settled_draw_is_not_checked_on_and_costs_no_more():
    draws = [(1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (None, 0.0, 1.0)]
    parts = three()
    verdicts = AllOf(verifiers=parts).check(Samples(draws))
    assert [part.asked for part in parts] == [[draws], [[draws[0], draws[2]]], [[draws[0]]]]
    assert [v.cost.verifier_calls for v in verdicts] == [3, 1, 2]
    assert [v.cost.seconds for v in verdicts] == [3.0, 1.0, 2.0]
    parts = three()
    AnyOf(verifiers=parts).check(Samples(draws))
    assert [part.asked for part in parts] == [[draws], [draws[1:]], [[draws[2]]]]


def test_weighted_adds_the_costs_of_all_parts():
    [verdict] = Weighted(verifiers=three(), weights=(1, 1, 1)).check(Samples([(1.0, 1.0, 0.0)]))
    assert (verdict.cost.verifier_calls, verdict.cost.seconds) == (3, 3.0)
    assert (verdict.evidence["from"], verdict.evidence["to"]) == pytest.approx((2 / 3, 2 / 3))


@pytest.mark.parametrize("kind", [AllOf, AnyOf])
def test_a_batch_equals_single_checks_and_combinations_nest(kind):
    check = AnyOf(verifiers=(kind(verifiers=three()[:2]), Says(place=2)))
    batch = check.check(Samples(DRAWS))
    assert batch == [check.check(Samples([draw]))[0] for draw in DRAWS]
    assert check.check(Samples(DRAWS[::-1])) == batch[::-1]
    assert check.check(Samples([])) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: AllOf(verifiers=()),
        lambda: AnyOf(verifiers=()),
        lambda: Weighted(verifiers=(), weights=()),
        lambda: Weighted(verifiers=three(), weights=(1, 2)),
        lambda: Weighted(verifiers=three(), weights=(1, -1, 1)),
        lambda: Weighted(verifiers=three(), weights=(0, 0, 0)),
        lambda: Weighted(verifiers=three(), weights=(1, 1, float("nan"))),
        lambda: Weighted(verifiers=three(), weights=(1, 1, 1), threshold=0),
        lambda: Weighted(verifiers=three(), weights=(1, 1, 1), threshold=1.1),
    ],
)
def test_nonsense_is_refused_at_construction(make):
    with pytest.raises(InvalidArgument):
        make()
