"""Samples join and slice like the list of their draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Cost, InvalidArgument, Sample, Samples, Verdict

draws = st.lists(
    st.builds(
        Sample, st.text(max_size=3), st.none() | st.floats(-9, 0), st.builds(Cost, draws=st.just(1))
    )
)


@given(draws, draws)
def test_joining_is_joining_the_lists(a, b):
    joined = Samples.of(a) + Samples.of(b)
    assert list(joined.values) == [s.value for s in [*a, *b]]
    assert joined.cost == sum((s.cost for s in [*a, *b]), Cost())


@given(draws, st.integers(0, 5), st.integers(0, 5))
def test_a_slice_is_the_samples_of_the_sliced_list(rows, first, last):
    whole = Samples.of(rows)
    assert [s.value for s in whole[first:last]] == [s.value for s in rows[first:last]]


def test_logprobs_are_kept_only_when_every_draw_has_one():
    known, unknown = Samples(["a"], [-1.0]), Samples(["b"])
    assert (known + known).logprobs == [-1.0, -1.0]
    assert (known + unknown).logprobs is None
    assert Samples.of([Sample("a", -1.0), Sample("b")]).logprobs is None


def test_arrays_and_tensors_join_on_their_first_axis():
    a, b = np.zeros((2, 3)), np.ones((1, 3))
    assert (Samples(a) + Samples(b)).values.shape == (3, 3)
    assert Samples(a) + Samples(b) == Samples(np.concatenate([a, b]))
    torch = pytest.importorskip("torch")
    joined = (Samples(torch.zeros(2, 3)) + Samples(torch.ones(1, 3))).values
    assert joined.tolist() == [[0.0] * 3, [0.0] * 3, [1.0] * 3]


def test_equal_samples_may_have_cost_different_amounts_of_time():
    assert Samples(["a"], costs=[Cost(seconds=1.0)]) == Samples(["a"], costs=[Cost(seconds=2.0)])
    assert Samples(["a"]) != Samples(["b"])
    assert Samples(["a"], [-1.0]) != Samples(["a"], [-2.0])


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InvalidArgument, match="2 values but 1 logprobs"):
        Samples(["a", "b"], [-1.0])


def test_an_undecided_verdict_is_neither_passed_nor_scored():
    verdict = Verdict.undecided("timeout")
    assert (verdict.passed, verdict.score, verdict.decided) == (None, None, False)
    with pytest.raises(InvalidArgument, match="together"):
        Verdict(passed=None, score=0.0)
    with pytest.raises(InvalidArgument, match=r"\[0, 1\], got 1.5"):
        Verdict.ok(score=1.5)
