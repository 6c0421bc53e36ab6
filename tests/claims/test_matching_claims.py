"""What the claims on the matching trainer are made of is what they say."""

import numpy as np
import pytest

pytest.importorskip("torch")

from genwright.claims import f_distill, msd, sfd
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.exact import ring8
from genwright.generators.diffusion.meter import size_of
from genwright.generators.diffusion.one_step import OneStep
from genwright.generators.diffusion.precondition import X0


def test_the_eight_shapes_fill_their_grid_and_differ():
    law = msd.shapes()
    masses = [law.cell_masses(msd.CELLS, msd.CELLS, cond=c) for c in range(8)]
    assert law.classes == 8
    assert all(m.sum() == pytest.approx(1, abs=0.01) for m in masses)
    overlaps = [np.minimum(a, b).sum() for i, a in enumerate(masses) for b in masses[:i]]
    assert max(overlaps) < 0.75


def test_a_student_of_the_claim_is_small():
    assert size_of(msd.small(0).net) < 12_000


def test_the_affine_student_starts_where_the_claim_says():
    """40,000 draws; within 6 standard errors."""
    model = OneStep(denoiser=Denoiser(f_distill.Affine(2.5), X0()), batch=4000)
    drawn = model.sample(None, 40_000, seed=0).values
    mean, std = f_distill.START
    assert drawn[:, 0].mean() == pytest.approx(mean, abs=6 * std / 200)
    assert drawn[:, 0].std() == pytest.approx(std, abs=6 * std / 280)
    assert drawn[:, 1].std() == pytest.approx(f_distill.STD, abs=6 * f_distill.STD / 280)


def test_the_moments_of_the_mixture_are_those_the_bounds_use():
    from genwright.generators.diffusion.noise import Batch

    drawn = f_distill.LAW.sample(200_000, Batch(0))[:, 0]
    assert drawn.mean().item() == pytest.approx(f_distill.MEAN, abs=0.015)
    assert drawn.var().item() == pytest.approx(f_distill.VARIANCE, abs=0.02)


def test_mass_is_counted_by_the_nearest_mode():
    law = ring8(sfd.HALVES)
    drawn = np.array([law.means[0], law.means[5], law.means[3], [0.0, -5.0]])
    assert sfd._mass(drawn, law, 0) == 0.5
