"""No control gets nearer than the margin says, whatever head, rows and wanted output are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.assurance.attention_bound import (
    AttentionHead,
    exclusion_margin,
    orthogonal_margin,
)
from genwright.core import InvalidArgument

HALF = 2


def head(seed, *, size=4, width=5, turned=False):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, size, width)) / 2
    return AttentionHead(*maps, frequencies=np.array([1.0, 0.1]) if turned else None)


def controls(rng, k, width, omega):
    rows = rng.normal(size=(k, width))
    return rows * omega / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 4),
    omega=st.floats(0.05, 2),
    far=st.floats(0, 4),
    turned=st.booleans(),
)
def test_no_control_gets_nearer_than_the_margin(seed, k, omega, far, turned):
    rng = np.random.default_rng(seed)
    one = head(seed, turned=turned)
    imposed, wanted = rng.normal(size=(3, 5)), far * rng.normal(size=4)
    margin = exclusion_margin(one, imposed, wanted, k, omega)
    for _ in range(50):
        size = int(rng.integers(1, k + 1))
        rows = np.vstack([controls(rng, size, 5, omega * rng.uniform() ** 0.2), imposed])
        assert np.linalg.norm(one.output(rows) - wanted) >= margin - 1e-9
    assert orthogonal_margin(one, imposed, wanted, k, omega) <= margin + 1e-9


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 3), omega=st.floats(0.01, 3))
def test_the_margin_is_the_minimum_over_every_pull(seed, k, omega):
    """The closed form against a grid of a in [a_min, 1], with the formulas of the paper."""
    rng = np.random.default_rng(seed)
    one, imposed = head(seed), rng.normal(size=(3, 5))
    wanted = rng.normal(size=4) * rng.choice([0.1, 1, 3])
    y_hat, query = one.output(imposed), one.query @ imposed[-1]
    d = np.exp([query @ one.key @ row / np.sqrt(4) for row in imposed]).sum()
    s = k * np.exp(np.linalg.norm(query) * np.linalg.norm(one.key, 2) * omega / np.sqrt(4))
    reach = np.linalg.norm(one.value, 2) * omega
    grid = np.linspace(d / (d + s), 1, 20_001)
    values = np.linalg.norm(wanted - grid[:, None] * y_hat, axis=1) - (1 - grid) * reach
    found = exclusion_margin(one, imposed, wanted, k, omega)
    assert found <= values.min() + 1e-12
    assert found == pytest.approx(values.min(), abs=1e-3 * (1 + reach))


@given(seed=st.integers(0, 10_000), k=st.integers(1, 5), omega=st.floats(0.1, 2))
def test_more_or_longer_controls_prove_less(seed, k, omega):
    rng = np.random.default_rng(seed)
    one, imposed, wanted = head(seed), rng.normal(size=(3, 5)), 3 * rng.normal(size=4)
    margin = exclusion_margin(one, imposed, wanted, k, omega)
    assert exclusion_margin(one, imposed, wanted, k + 1, omega) <= margin + 1e-12
    assert exclusion_margin(one, imposed, wanted, k, 1.1 * omega) <= margin + 1e-12
    assert exclusion_margin(one, imposed, wanted, 0, omega) >= margin - 1e-12


def test_what_the_head_writes_anyway_is_not_excluded():
    one, imposed = head(3), np.random.default_rng(3).normal(size=(3, 5))
    assert exclusion_margin(one, imposed, one.output(imposed), 1, 2.0) <= 0
    assert exclusion_margin(one, imposed, one.output(imposed), 1, 20.0) < 0


def test_a_single_number_by_hand():
    """d = D = 1: rows [1], maps 1, one control of length at most 1: y is in [?, 1].

    y_hat = 1, D = e, s_max = e, so a >= 1/2 and y >= 1/2 - 1/2: 0 is the nearest to -1.
    """
    one = AttentionHead(np.eye(1), np.eye(1), np.eye(1))
    assert exclusion_margin(one, [[1.0]], [-1.0], 1, 1.0) == pytest.approx(1.0)
    assert exclusion_margin(one, [[1.0]], [3.0], 1, 1.0) == pytest.approx(2.0)
    assert exclusion_margin(one, [[1.0]], [-1.0], 0, 1.0) == pytest.approx(2.0)
    # three rows: a >= 3/4, y >= 3/4 - 1/4
    assert exclusion_margin(one, [[1.0]] * 3, [-1.0], 1, 1.0) == pytest.approx(1.5)
    # three controls on one row: a >= 1/4, y >= 1/4 - 3/4
    assert exclusion_margin(one, [[1.0]], [-1.0], 3, 1.0) == pytest.approx(0.5)


def test_a_head_is_softmax_attention():
    torch = pytest.importorskip("torch")
    one, rows = head(5), np.random.default_rng(5).normal(size=(6, 5))
    q, k, v = (torch.tensor(rows @ m.T)[None] for m in (one.query, one.key, one.value))
    theirs = torch.nn.functional.scaled_dot_product_attention(q[:, -1:], k, v)[0, 0]
    assert np.allclose(one.output(rows), theirs.numpy(), atol=1e-12)


def test_turning_by_place_is_llamas():
    """The rotary embedding of `transformers`, on queries and keys of the whole sequence."""
    torch = pytest.importorskip("torch")
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    one, rows = head(6, turned=True), np.random.default_rng(6).normal(size=(6, 5))
    q, k = (torch.tensor(rows @ m.T)[None, None] for m in (one.query, one.key))
    angles = torch.arange(6)[:, None] * torch.tensor([1.0, 0.1], dtype=torch.float64)
    angles = torch.cat([angles, angles], 1)[None]
    q, k = llama.apply_rotary_pos_emb(q, k, angles.cos(), angles.sin())
    theirs = (q[0, 0, -1] @ k[0, 0].T / HALF).numpy()
    assert np.allclose(one.scores(rows), theirs, atol=1e-12)


@pytest.mark.parametrize("bound", [exclusion_margin, orthogonal_margin])
def test_bad_input(bound):
    one, rows, wanted = head(0), np.ones((2, 5)), np.ones(4)
    for k, omega in ((-1, 1.0), (1, -1.0), (1, float("nan"))):
        with pytest.raises(InvalidArgument, match="0 or more"):
            bound(one, rows, wanted, k, omega)
    for bad in (np.ones((0, 5)), np.ones((2, 4)), np.ones(5)):
        with pytest.raises(InvalidArgument, match=r"imposed rows must be \[n, 5\]"):
            bound(one, bad, wanted, 1, 1.0)
    with pytest.raises(InvalidArgument, match=r"wanted must be \[4\]"):
        bound(one, rows, np.ones(5), 1, 1.0)
    with pytest.raises(InvalidArgument, match="query and key must be"):
        AttentionHead(np.ones((2, 3)), np.ones((3, 3)), np.ones((2, 3)))
