"""The claim of evolved functions counts gains as it says, and its smoke run holds."""

from math import inf

import pytest

from genwright.claims import autonumerics


def test_a_gain_counts_only_where_chance_does_not_gain():
    bars = {3: 1e-3, 4: 1e-3, 5: 1e-4}
    evolved = {3: 1e-4, 4: 2.5e-4, 5: 1e-4}
    assert autonumerics._gain(bars, evolved, {}) == pytest.approx(10)
    assert autonumerics._gain(bars, evolved, {3: 1e-4}) == pytest.approx(1)  # chance: 3, so 4 too
    assert autonumerics._gain(bars, evolved, {4: 6e-4}) == pytest.approx(10)
    assert autonumerics._gain(bars, {}, {}) == 0


def test_a_shorter_program_serves_at_every_larger_count():
    assert autonumerics._reached({2: 0.1, 4: 0.01}, 3) == 0.1
    assert autonumerics._reached({2: 0.1, 4: 0.01}, 9) == 0.01
    assert autonumerics._reached({2: 0.1}, 1) == inf


def test_the_bars_are_higher_with_rational_functions_of_least_error():
    refined, plain = autonumerics._bars(refined=True), autonumerics._bars(refined=False)
    assert all(refined[n] <= plain[n] for n in plain)
    assert refined[3] < plain[3] / 3


@pytest.mark.slow
def test_the_square_of_a_quadratic_is_found():
    assert autonumerics.run("smoke", seed=0).holds
