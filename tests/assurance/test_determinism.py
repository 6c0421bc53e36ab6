"""The report counts equal draws, and the engine's draws do not depend on batch or threads."""

import pytest

from genwright.assurance.determinism import agreement, determinism_report
from genwright.core import InvalidArgument, Samples
from genwright.generators.language.local import LocalLM
from genwright.testing import Uniform

PROMPTS = ["say a", "tell me of b", "c", "what is d?", "e and f", "g"]


def test_equal_setups_give_equal_draws_and_others_are_told():
    class Shifted:
        def sample(self, prompt, n, *, seed, first=0):
            letters = "ABCDEFGH" if prompt == "c" else "abcdefgh"
            return Uniform(letters).sample(prompt, n, seed=seed, first=first)

    setups = {"one": Uniform("abcdefgh"), "same": Uniform("abcdefgh"), "shifted": Shifted()}
    one, same, shifted = determinism_report(PROMPTS, setups, seed=1)
    assert [r.name for r in (one, same, shifted)] == ["one", "same", "shifted"]
    assert (one.rate.estimate, same.rate.estimate) == (1.0, 1.0)
    assert shifted.rate.estimate == pytest.approx(5 / 6)
    assert shifted.differs_at == (None, None, 0, None, None, None)
    assert one.cost.draws == 6
    assert same.rate.low < 0.7  # six prompts prove little


def test_every_prompt_has_a_seed_of_its_own():
    class Seeds:
        def __init__(self):
            self.seen = set()

        def sample(self, prompt, n, *, seed, first=0):
            self.seen.add((prompt, seed))
            return Samples([str(seed)])

    first, second = Seeds(), Seeds()
    determinism_report(PROMPTS, {"a": first, "b": second}, seed=0, together=1)
    assert first.seen == second.seen
    assert len({seed for _, seed in first.seen}) == len(PROMPTS)


def test_the_engine_draws_the_same_at_any_batch_and_thread_count(tiny_llama):
    """Identical setups to the last bit, so greedy and sampled tokens of a tiny model agree."""
    base = {"model": str(tiny_llama), "chat": False, "dtype": "float32", "max_new_tokens": 12}
    for temperature in (0.0, 1.0):
        setups = {
            "alone": LocalLM(**base, temperature=temperature, threads=1, batch=1),
            "again": LocalLM(**base, temperature=temperature, threads=1, batch=1),
            "batch": LocalLM(**base, temperature=temperature, threads=1, batch=4),
            "threads": LocalLM(**base, temperature=temperature, threads=2, batch=4),
        }
        report = determinism_report(PROMPTS, setups, seed=5, together=4)
        assert [row.rate.estimate for row in report] == [1.0] * 4
        other = determinism_report(PROMPTS, {"a": setups["alone"], "b": setups["batch"]}, seed=6)
        assert other[0].rate.estimate == 1.0


def test_agreement_counts_prefixes_as_different():
    found = agreement("x", [(1, 2), (1, 2), (1,)], [(1, 2), (1, 2, 3), (2,)])
    assert found.differs_at == (None, 2, 0)
    assert found.rate.estimate == pytest.approx(1 / 3)


def test_a_report_needs_prompts_and_two_setups():
    with pytest.raises(InvalidArgument, match="got 0 and 2"):
        determinism_report([], {"a": Uniform("a"), "b": Uniform("a")}, seed=0)
    with pytest.raises(InvalidArgument, match="got 1 and 1"):
        determinism_report(["p"], {"a": Uniform("a")}, seed=0)
