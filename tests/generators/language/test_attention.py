"""Rows of many prompts attend at once to what they would attend to one prompt at a time."""

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import Chunk
from genwright.generators.language import plan as plans
from genwright.generators.language.attention import attend
from genwright.generators.language.cache import Pool


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


LAYERS, KINDS, GROUP, SIZE = 2, 2, 3, 4


def filled(pool, length, seed):
    generator = torch.Generator().manual_seed(seed)
    prompt = pool.prompt(None, length)
    prompt.keys.normal_(generator=generator)
    prompt.values.normal_(generator=generator)
    return prompt


def attended(pool, rows, sparse, monkeypatch, window=None):
    """What every layer returns for one new token a row; the caches stay as they were."""
    monkeypatch.setattr(plans, "SPARSE", sparse)
    generator = torch.Generator().manual_seed(9)
    plan = plans.Plan(pool, [Chunk(row, [1]) for row in rows])
    assert (plan.tiles is None) == (sparse < 0)
    n = len(rows)
    q = torch.randn(n, KINDS * GROUP, SIZE, generator=generator)
    k, v = (torch.randn(n, KINDS, SIZE, generator=generator) for _ in "kv")
    return [attend(plan, layer, q, k, v, 0.5, window) for layer in range(LAYERS)]


@pytest.mark.parametrize("window", [None, 4])
def test_all_prompts_at_once_equal_one_at_a_time(monkeypatch, window):
    pool = Pool(LAYERS, KINDS, SIZE, torch.float32, torch.device("cpu"))
    prompts = [filled(pool, length, seed) for seed, length in enumerate((5, 1, 8, 0, 8))]
    rows = [pool.branch(prompts[i]) for i in (0, 1, 2, 3, 4, 2, 0, 2)]
    together = attended(pool, rows, 9, monkeypatch, window)
    apart = attended(pool, rows, -9, monkeypatch, window)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(together, apart, strict=True))

    pool.release(rows.pop())  # a longer prompt takes a seat that falls free
    pool.release(rows.pop(0))
    pool.release(rows.pop(0))
    rows = list(pool.rows)
    rows += [pool.branch(filled(pool, 12, 77)), pool.branch(filled(pool, 2, 78))]
    together = attended(pool, rows, 9, monkeypatch, window)
    apart = attended(pool, rows, -9, monkeypatch, window)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(together, apart, strict=True))


def test_mostly_padding_is_not_tiled():
    pool = Pool(LAYERS, KINDS, SIZE, torch.float32, torch.device("cpu"))
    crowd = filled(pool, 3, 0)
    rows = [pool.branch(crowd) for _ in range(40)]
    rows += [pool.branch(filled(pool, 3, seed)) for seed in range(1, 9)]
    plan = plans.Plan(pool, [Chunk(row, [1]) for row in rows])
    assert plan.tiles is None


def test_prompts_whose_copies_would_fill_the_memory_are_not_tiled(monkeypatch):
    pool = Pool(LAYERS, KINDS, SIZE, torch.float32, torch.device("cpu"))
    rows = [pool.branch(filled(pool, 8, seed)) for seed in range(4)]
    bytes_of_all = 4 * 8 * 2 * LAYERS * KINDS * SIZE * 4
    for limit, tiled in ((bytes_of_all, True), (bytes_of_all - 1, False)):
        monkeypatch.setattr(plans, "SHELF_BYTES", limit)
        plan = plans.Plan(pool, [Chunk(row, [1]) for row in rows])
        assert (plan.tiles is not None) is tiled
