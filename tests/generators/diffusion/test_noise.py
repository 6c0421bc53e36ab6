"""Noise has the law it names, and rows of their own streams do not depend on the batch."""

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.noise import (
    Batch,
    Gaussian,
    KarrasUniform,
    LogNormal,
    Rows,
    StudentT,
)
from genwright.generators.diffusion.samplers import karras

N = 20_000


def test_a_student_t_is_one():
    """One coordinate of the kernel in N dimensions is t with D degrees, scaled; p above 1e-7."""
    d = 3.0
    noise = StudentT(d).sample((N, 4), 2.0, Batch(0)).double()
    for column in (0, 3):
        assert stats.kstest(noise[:, column] / 2.0, stats.t(d).cdf).pvalue > 1e-7


def test_a_student_t_with_many_dimensions_is_gaussian():
    noise = StudentT(1e8).sample((N, 3), 0.5, Batch(1)).double().flatten()
    assert stats.kstest(noise / 0.5, stats.norm.cdf).pvalue > 1e-7


@pytest.mark.parametrize("noise", [Gaussian(), StudentT(5.0)], ids=["gaussian", "student"])
def test_the_log_density_is_that_of_the_law(noise):
    """Against scipy, up to a constant, at two levels of noise in three dimensions."""
    x = np.random.default_rng(0).normal(size=(6, 3))
    for sigma in (0.5, 2.0):
        law = stats.multivariate_t(df=5.0, shape=sigma**2 * np.eye(3))
        if isinstance(noise, Gaussian):
            law = stats.multivariate_normal(cov=sigma**2 * np.eye(3))
        squared = torch.from_numpy((x**2).sum(1))
        found = noise.log_density(squared, torch.tensor(sigma), 3).numpy() - law.logpdf(x)
        assert found == pytest.approx([found[0]] * 6)


def test_rows_do_not_depend_on_the_batch_and_differ():
    whole, parts = Rows(4, 0, 5), [Rows(4, 0, 2), Rows(4, 2, 3)]
    for ask in (lambda r, n: r.normal((n, 2)), lambda r, n: r.uniform(n)):
        drawn = ask(whole, 5)
        assert torch.equal(drawn, torch.cat([ask(parts[0], 2), ask(parts[1], 3)]))
        assert len({tuple(np.atleast_1d(row)) for row in drawn.numpy()}) == 5
    assert torch.equal(whole.beta(2, 3, 5)[2:], Rows_after(parts))
    with pytest.raises(InvalidArgument, match="5 draws have streams, 4"):
        whole.normal((4, 2))


def Rows_after(parts):
    parts[0].beta(2, 3, 2)
    return parts[1].beta(2, 3, 3)


def test_levels_are_drawn_from_their_laws():
    """p above 1e-7 each."""
    logs = LogNormal(-1.2, 1.2).sample(N, Batch(2)).log().numpy()
    assert stats.kstest(logs, stats.norm(-1.2, 1.2).cdf).pvalue > 1e-7
    drawn = KarrasUniform(0.2, 0.8).sample(N, Batch(3)).numpy()
    curve = np.flip(karras(11)[:-1].numpy())
    places = np.searchsorted(curve, drawn) - 1  # tenths of the curve, the low end first
    counts = np.bincount(places, minlength=10)
    assert counts[[0, 1, 8, 9]].sum() == 0
    assert stats.chisquare(counts[2:8]).pvalue > 1e-7


def test_noise_takes_the_type_of_its_level_and_refuses_one_below_zero():
    assert Gaussian().sample((2, 3), 1.0, Batch(0)).dtype == torch.float32
    both = torch.tensor([0.0, 2.0], dtype=torch.float64)
    drawn = Gaussian().sample((2, 3), both, Batch(0))
    assert drawn.dtype == torch.float64
    assert not drawn[0].any()
    with pytest.raises(InvalidArgument, match="0 or more, got -1"):
        Gaussian().sample((2, 3), -1.0, Batch(0))
    with pytest.raises(InvalidArgument, match="D must be above 0"):
        StudentT(0.0)
