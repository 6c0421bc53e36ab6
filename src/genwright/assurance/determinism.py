"""Does a generator make the same draws under another setup: dtype, threads, batch, kernel?

`determinism_report` draws every prompt with the same seed under each setup, and says how often the
draws equal those of the first one. Choose it before draws of different machines are compared
(`assurance.consensus`), and after anything changed that should change nothing.

Kim et al. 2023, arXiv:2307.01898: greedy and beam decoding agree across devices, sampling with a
shared seed does not. The latter is so where the random stream belongs to the batch; the engine
gives every position of every draw its own number, so that only rounding is left.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from genwright.assurance.fingerprints import TokenFingerprint, first_difference
from genwright.core import Cost, Generator, InvalidArgument, Sample, child_seed
from genwright.core.statistics import Interval, clopper_pearson


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often one setup makes the draws of the first setup.

    Args:
        name: of the setup.
        rate: of equal draws, with Clopper and Pearson's interval.
        differs_at: for each prompt the first position that differs; None where all are equal.
        cost: of the setup's draws.
    """

    name: str
    rate: Interval
    differs_at: tuple[int | None, ...]
    cost: Cost


def determinism_report(
    prompts: Sequence[Any],
    setups: Mapping[str, Generator[Any]],
    *,
    seed: int,
    together: int = 16,
) -> list[Agreement]:
    """Draw once for each prompt under each setup, and compare with the first setup.

    Values are compared by tokens where a draw tells them, else as they are.

    Args:
        prompts: at least one.
        setups: generators by name, at least two; the first one is what the others should equal.
        seed: of the draws; prompt i is drawn under `child_seed(seed, i)` in every setup.
        together: prompts that are asked for at a time, so that a setup with a batch can fill it.

    Raises:
        InvalidArgument: no prompts, or fewer than two setups.
    """
    if not prompts or len(setups) < 2:
        raise InvalidArgument(
            f"determinism_report: needs a prompt and two setups, got {len(prompts)} and "
            f"{len(setups)}."
        )
    report: list[Agreement] = []
    reference: list[tuple[Any, ...]] | None = None
    for name, generator in setups.items():
        drawn = draw_each(prompts, generator, seed=seed, together=together)
        found = [tokens_of(sample) for sample in drawn]
        reference = reference or found
        spent = sum((sample.cost for sample in drawn), Cost())
        report.append(agreement(name, reference, found, spent))
    return report


def agreement(
    name: str,
    reference: Sequence[Sequence[Any]],
    found: Sequence[Sequence[Any]],
    cost: Cost = Cost(),
) -> Agreement:
    """Compare sequences that are already drawn, one a prompt on both sides."""
    places = [first_difference(a, b) for a, b in zip(reference, found, strict=True)]
    rate = clopper_pearson(places.count(None), len(places))
    return Agreement(name=name, rate=rate, differs_at=tuple(places), cost=cost)


def draw_each(
    prompts: Sequence[Any], generator: Generator[Any], *, seed: int, together: int = 16
) -> list[Sample[Any]]:
    """Return one draw for each prompt, in order."""

    def one(i: int) -> Sample[Any]:
        return generator.sample(prompts[i], 1, seed=child_seed(seed, i))[0]

    with ThreadPoolExecutor(together) as pool:
        return list(pool.map(one, range(len(prompts))))


def tokens_of(sample: Sample[Any]) -> tuple[Any, ...]:
    """Return the token ids that a draw tells of, else its value as a sequence."""
    told = sample.info.get("tokens", sample.value)
    return TokenFingerprint().of(told if isinstance(told, str | list | tuple) else [told])
