"""Seeds depend on names alone, and uniforms are uniform."""

from hypothesis import given
from hypothesis import strategies as st

from genwright.core import child_seed, uniform

names = st.lists(st.integers(-9, 9) | st.text(max_size=3), max_size=3).map(tuple)


@given(st.integers(0, 2**63 - 1), names, names)
def test_different_names_have_different_seeds(seed, a, b):
    """64 hashed bits: two different names agree with a chance of 5e-20 a pair."""
    assert (child_seed(seed, *a) == child_seed(seed, *b)) == (a == b)


def test_seeds_never_change_between_versions():
    assert child_seed(0, "draw", 3) == 3533397180404954990
    assert uniform(7, 0) == 0.32424272435816537


def test_uniforms_fill_the_unit_interval_evenly():
    """Fixed seed. Kolmogorov-Smirnov: a distance of 0.03 has a chance of 3e-8 if uniform."""
    numbers = sorted(uniform(1, i) for i in range(10_000))
    assert all(0.0 <= u < 1.0 for u in numbers)
    assert max(abs(u - i / 10_000) for i, u in enumerate(numbers)) < 0.03
