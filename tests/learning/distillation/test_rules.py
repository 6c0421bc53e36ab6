"""Rules are the formulas of their papers: by quadrature, by symbols, and by each other."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from genwright.core import InvalidArgument
from genwright.generators.diffusion.exact import GaussianMixture
from genwright.learning.distillation.distances import L2, Power, PseudoHuber
from genwright.learning.distillation.divergences import DIVERGENCES
from genwright.learning.distillation.rules import (
    RULES,
    FDivergence,
    Matched,
    ReverseKL,
    ScoreImplicit,
    Sid,
    rule_of,
)

NODES, MASSES = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(90))
MASSES = MASSES / MASSES.sum()
TEACHER = GaussianMixture((1.0,), ((0.1,),), 1.3)
"""Of the identities: any law will do."""


def given(seed=0, n=12, logits=False, alike=False):
    """Smooth nets of x for teacher and fake; x_0 with gradient, x that depends on it."""
    torch.manual_seed(seed)
    x_0 = torch.randn(n, 3, dtype=torch.float64, requires_grad=True)
    sigma = torch.rand(n, dtype=torch.float64) * 2 + 0.1
    x = x_0 + sigma[:, None] * torch.randn(n, 3, dtype=torch.float64)
    real = torch.tanh(x @ torch.randn(3, 3, dtype=torch.float64))
    fake = real if alike else torch.sin(x @ torch.randn(3, 3, dtype=torch.float64))
    told = torch.randn(n, dtype=torch.float64) * 3 if logits else None
    return Matched(x_0, x, sigma, real, fake, told)


def slope(rule, case):
    (found,) = torch.autograd.grad(rule(case).sum(), case.x_0, retain_graph=True)
    return found


def student(theta, z, sigma, n, frozen=None):
    """A Gaussian student m + b z at one level: x_0, x, and the denoiser of its own law at x."""
    m, b = theta if frozen is None else frozen
    x_0 = theta[0] + theta[1] * z
    x = x_0 + sigma * n
    fake = (b**2 * x + sigma**2 * m) / (b**2 + sigma**2)
    return x_0, x, fake


@pytest.mark.parametrize(
    ("distance", "value"),
    [
        (PseudoHuber(c=1.5), lambda y: (y**2 + 1.5**2).sqrt() - 1.5),
        (L2(), lambda y: y**2 / 2),
        (Power(p=4.0), lambda y: y**4 / 4),
    ],
    ids=["pseudo-huber", "l2", "power"],
)
def test_the_surrogate_has_the_gradient_of_the_distance_of_scores(distance, value):
    """By quadrature: E_{frozen law} d(y) against E of the rule; and not with d' detached."""
    sigma = 0.6
    theta = torch.tensor([0.7, 0.5], dtype=torch.float64, requires_grad=True)
    z, n = (grid.reshape(-1, 1) for grid in torch.meshgrid(NODES, NODES, indexing="ij"))
    mass = torch.outer(MASSES, MASSES).reshape(-1)
    level = torch.full((len(z),), sigma, dtype=torch.float64)

    x = student(theta.detach(), z, sigma, n)[1]
    m, b = theta
    moving = (b**2 * x + sigma**2 * m) / (b**2 + sigma**2)  # x frozen, the law's score not
    direct = (mass * value(moving - TEACHER(x, sigma))[:, 0]).sum()
    (wanted,) = torch.autograd.grad(direct, theta)

    x_0, x, fake = student(theta, z, sigma, n, theta.detach())
    case = Matched(x_0, x, level, TEACHER(x, sigma), fake)
    surrogate = (mass * ScoreImplicit(distance=distance)(case)).sum()
    (found,) = torch.autograd.grad(surrogate, theta, retain_graph=True)
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-6)

    gap = distance.slope((fake - case.real).detach())
    detached = -(mass * (gap * (fake - x_0))[:, 0]).sum()
    (other,) = torch.autograd.grad(detached, theta)
    assert (other - wanted).abs().max() > 0.01


def test_sid_with_alpha_1_is_the_squared_distance_of_scores_up_to_its_weight():
    case = given()
    scale = (case.x_0 - case.real).detach().abs().mean(1)
    sid, plain = Sid(alpha=1.0)(case), ScoreImplicit(distance=L2())(case)
    torch.testing.assert_close(sid * scale, plain)
    grads = [torch.autograd.grad(v.sum(), case.x_0, retain_graph=True)[0] for v in (sid, plain)]
    torch.testing.assert_close(grads[0] * scale[:, None], grads[1])  # rows do not mix in x


def test_sid_is_the_formula_of_the_paper():
    case = given(1)
    scale = (case.x_0 - case.real).abs().mean(1, keepdim=True)
    terms = (case.real - case.fake) * (case.real - case.x_0 - 1.2 * (case.real - case.fake))
    torch.testing.assert_close(Sid()(case), (terms / scale).sum(1))


def test_reverse_kl_moves_draws_along_the_normalised_difference_of_scores():
    """The gradient is w y, and reaches x_0 directly alone."""
    case = given(2)
    y = case.fake - case.real
    wanted = y / (case.x_0 - case.real).abs().mean(1, keepdim=True)
    torch.testing.assert_close(slope(ReverseKL(), case), wanted.detach())


def test_the_f_divergence_called_rkl_is_reverse_kl_bit_for_bit():
    case = given(3, logits=True)
    assert torch.equal(FDivergence(kind="rkl")(case), ReverseKL()(case))


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_h_is_r_squared_times_the_second_derivative_of_f(kind):
    sympy = pytest.importorskip("sympy")
    r = sympy.symbols("r", positive=True)
    f = sympy.sympify(DIVERGENCES[kind].f, locals={"r": r})
    h = sympy.lambdify(r, r**2 * f.diff(r, 2), "numpy")
    at = torch.tensor([0.1, 0.5, 1.0, 3.0, 20.0], dtype=torch.float64)
    wanted = torch.as_tensor(h(at.numpy())) * torch.ones_like(at)
    torch.testing.assert_close(DIVERGENCES[kind].h(at), wanted, rtol=1e-9, atol=1e-9)
    assert float(f.subs(r, 1)) == pytest.approx(0)  # no divergence where p = q


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_h_weighs_the_scores_to_the_gradient_of_the_divergence(kind):
    """Finite differences of D_f(p || q) by quadrature, two modes against one Gaussian."""
    p = GaussianMixture((0.7, 0.3), ((-1.0,), (1.0,)), 0.4)
    f = {
        "rkl": lambda r: -r.log(),
        "softened": lambda r: (r + 1) * (0.5 + 0.5 / r).log(),
        "js": lambda r: r * r.log() - (r + 1) * ((r + 1) / 2).log(),
        "hellinger": lambda r: 1 - r.sqrt(),
        "kl": lambda r: r * r.log(),
        "jeffreys": lambda r: (r - 1) * r.log(),
    }[kind]
    sigma, (m, b) = 0.5, (0.2, 0.7)

    def divergence(m, b):
        x = torch.linspace(-6, 6, 20_001, dtype=torch.float64)[:, None]
        q = GaussianMixture((1.0,), ((m,),), b).log_prob(x, sigma)
        r = (p.log_prob(x, sigma) - q).exp()
        return (q.exp() * f(r)).sum().item() * 12 / 20_000

    eps = 1e-4
    wanted = [
        (divergence(m + eps, b) - divergence(m - eps, b)) / (2 * eps),
        (divergence(m, b + eps) - divergence(m, b - eps)) / (2 * eps),
    ]
    z, n = (grid.reshape(-1, 1) for grid in torch.meshgrid(NODES, NODES, indexing="ij"))
    mass = torch.outer(MASSES, MASSES).reshape(-1)
    x = m + b * z + sigma * n
    q = GaussianMixture((1.0,), ((m,),), b)
    r = (p.log_prob(x, sigma) - q.log_prob(x, sigma)).exp()
    pull = DIVERGENCES[kind].h(r)[:, None] * (p.score(x, sigma) - q.score(x, sigma))
    found = [-(mass[:, None] * pull).sum().item(), -(mass[:, None] * pull * z).sum().item()]
    assert found == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_weights_have_mean_1_and_extreme_logits_a_finite_gradient(kind):
    case = given(4, n=64, logits=True)
    rule = FDivergence(kind=kind)
    assert rule.weights(case).mean().item() == pytest.approx(1)
    wild = case._replace(logits=torch.tensor([-1e9, 1e9] * 32, dtype=torch.float64))
    assert torch.isfinite(slope(rule, wild)).all()
    assert not rule.weights(wild).requires_grad


def test_the_ratio_is_p_over_q_and_is_compared_within_a_bin_of_levels():
    """Forward KL weighs up where p is larger; a level of large ratios alone is not favoured."""
    case = given(5, n=4)._replace(
        sigma=torch.tensor([0.01, 0.01, 50.0, 50.0], dtype=torch.float64),
        logits=torch.tensor([1.0, 3.0, 4.0, 12.0], dtype=torch.float64).log(),
    )
    found = FDivergence(kind="kl").weights(case)
    assert found.tolist() == pytest.approx([0.5, 1.5, 0.5, 1.5])
    clipped = case._replace(logits=torch.tensor([0.0, 9.0, 0.0, 0.0]).double())
    assert FDivergence(kind="kl").weights(clipped)[1].item() == pytest.approx(2 * 20 / 21)


@pytest.mark.parametrize("name", RULES)
def test_a_student_that_is_its_teacher_is_not_moved(name):
    case = given(6, logits=True, alike=True)
    assert slope(rule_of(name), case).abs().max().item() == 0


def test_distances_have_the_slopes_they_name():
    y = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert PseudoHuber(c=12.0).slope(y)[0].tolist() == pytest.approx([3 / 13, 4 / 13])
    assert Power(p=1.5).slope(y)[0].tolist() == pytest.approx([3 / math.sqrt(5), 4 / math.sqrt(5)])
    torch.testing.assert_close(Power(p=2.0).slope(y), L2().slope(y))
    for distance in (PseudoHuber(), Power(p=1.5)):
        assert not distance.slope(y)[1].any()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FDivergence(kind="jss"), "kind must be one of rkl.*Did you mean 'js'"),
        (lambda: FDivergence(clip=(2.0, 1.0)), "clip must rise"),
        (lambda: PseudoHuber(c=0.0), "c must be above 0"),
        (lambda: Power(p=1.0), "p must be above 1"),
        (lambda: rule_of("sdi"), "no rule is called 'sdi'.*Did you mean 'sid'"),
        (lambda: FDivergence()(given()), "head=GanHead"),
    ],
    ids=["kind", "clip", "c", "p", "name", "head"],
)
def test_what_is_no_rule_is_refused(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()
