"""The exact posterior agrees with brute force, and no selector beats it on average."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genwright.core import InvalidArgument
from genwright.search.b4 import B4, CodeT, MaxPass, MBRExec, top
from genwright.search.pass_model import Theta, posterior

THETAS = st.builds(Theta, *[st.sampled_from([0.1, 0.35, 0.8])] * 4)


def joint(matrix, x, y, theta):
    """P(matrix, x, y), factor by factor."""
    weight = np.prod([theta.x if a else 1 - theta.x for a in x])
    weight *= np.prod([theta.y if b else 1 - theta.y for b in y])
    for i, a in enumerate(x):
        for j, b in enumerate(y):
            chance = b if a else (theta.one if b else theta.zero)
            weight *= chance if matrix[i][j] else 1 - chance
    return weight


@settings(max_examples=15)
@given(arrays(np.int64, (3, 4), elements=st.integers(0, 1)), THETAS)
def test_the_posterior_is_the_sum_over_all_states(matrix, theta):
    total, right = 0.0, np.zeros(3)
    for x in product((0, 1), repeat=3):
        for y in product((0, 1), repeat=4):
            weight = joint(matrix, x, y, theta)
            total += weight
            right += weight * np.array(x)
    assert posterior(matrix, theta) == pytest.approx(right / total)


@pytest.mark.parametrize("theta", [Theta(), Theta(0.3, 0.4, 0.3, 0.3)])
def test_no_selector_beats_the_posterior(theta):
    """Exact: all 2^9 matrices of 3 programs and 3 tests, each with its probability."""
    chosen = dict.fromkeys(("posterior", B4(), CodeT(), MaxPass(), MBRExec()), 0.0)
    mass = prior = 0.0
    sides = list(product((0, 1), repeat=3))
    for cells in product((0, 1), repeat=9):
        matrix = np.reshape(cells, (3, 3))
        weight = sum(joint(matrix, x, y, theta) for x, y in product(sides, sides))
        right = posterior(matrix, theta)
        mass += weight
        prior += weight * right.mean()
        for selector in chosen:
            if selector == "posterior":
                chosen[selector] += weight * right.max()
            else:
                chosen[selector] += weight * right[top(selector.select(matrix))].mean()
    assert mass == pytest.approx(1.0)
    assert prior == pytest.approx(theta.x)  # the law of total probability
    best = chosen.pop("posterior")
    assert all(prior - 1e-12 < found <= best + 1e-12 for found in chosen.values())
    assert best > prior + 0.05


def test_simulated_rates_are_those_asked_for():
    """200 matrices of 1,000 cells and more: 6 standard errors, false alarm below 1e-7 in all."""
    theta = Theta(0.3, 0.6, 0.2, 0.7)
    trials = [theta.simulate(20, 50, seed=seed) for seed in range(200)]
    for want, seen in [
        (theta.x, np.concatenate([t.right_programs for t in trials])),
        (theta.y, np.concatenate([t.right_tests for t in trials])),
        (theta.one, np.concatenate([_cells(t, False, True) for t in trials])),
        (theta.zero, np.concatenate([_cells(t, False, False) for t in trials])),
    ]:
        assert abs(seen.mean() - want) < 6 * np.sqrt(want * (1 - want) / len(seen))
    assert all(_cells(t, True, True).all() and not _cells(t, True, False).any() for t in trials)


def _cells(trial, program, test):
    rows, columns = trial.right_programs == program, trial.right_tests == test
    return trial.passes[rows][:, columns].ravel()


def test_simulation_is_a_function_of_the_seed():
    first, again, other = (Theta().simulate(5, 8, seed=s).passes for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("matrix", "theta"),
    [([[2]], Theta()), ([1], Theta()), (np.zeros((1, 17)), Theta()), ([[1]], Theta(x=0.0))],
)
def test_bad_input_is_refused(matrix, theta):
    with pytest.raises(InvalidArgument, match="posterior"):
        posterior(matrix, theta)
